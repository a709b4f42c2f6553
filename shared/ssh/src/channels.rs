//! The channels of one connection, and what they are used for.

use std::collections::HashMap;

use russh::server::Msg;
use russh::{Channel, ChannelId, ChannelWriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::environment::Variables;
use crate::input::Input;
use crate::limits;
use crate::program::Order;
use crate::spawn::Terminal;

/// Orders that wait for a program to take them.
const ORDERS: usize = 16;

/// The channels of one connection. Dropping them ends what uses them.
pub struct Channels {
    open: HashMap<ChannelId, Open>,
    ended: CancellationToken,
}

enum Open {
    /// Before a program is asked for.
    Preparing(Box<Preparing>),
    Running(Running),
}

/// A session before its program is started.
pub struct Preparing {
    /// The way to the client.
    pub client: ChannelWriteHalf<Msg>,
    /// What the client has set.
    pub variables: Variables,
    /// What the client has asked for.
    pub terminal: Option<Terminal>,
}

struct Running {
    input: Input,
    orders: mpsc::Sender<Order>,
    closed: CancellationToken,
}

/// What comes from the client, for a program or for another connection.
pub struct Streams {
    /// The data.
    pub input: Input,
    /// Everything else. Dropping it frees the place of the channel.
    pub orders: mpsc::Receiver<Order>,
    /// Cancelled when the client has closed the channel, or has gone.
    pub closed: CancellationToken,
}

impl Channels {
    /// None yet. `ended` is cancelled at the end; cancelling it ends what uses the channels.
    pub fn new(ended: CancellationToken) -> Self {
        Self { open: HashMap::new(), ended }
    }

    /// Whether another channel may be opened. Forgets those that are not used any more.
    pub fn has_room(&mut self) -> bool {
        self.open.retain(|_, channel| match channel {
            Open::Preparing(_) => true,
            Open::Running(running) => !running.orders.is_closed(),
        });
        self.open.len() < limits::CHANNELS
    }

    /// Adds a session.
    pub fn prepare(&mut self, channel: Channel<Msg>) {
        let id = channel.id();
        // Without the other half the library queues nothing. What arrives is pushed into `Input`.
        let (_, client) = channel.split();
        let preparing = Preparing { client, variables: Variables::default(), terminal: None };
        self.open.insert(id, Open::Preparing(Box::new(preparing)));
    }

    /// A session whose program was not started yet.
    pub fn preparing(&mut self, id: ChannelId) -> Option<&mut Preparing> {
        match self.open.get_mut(&id) {
            Some(Open::Preparing(preparing)) => Some(preparing),
            Some(Open::Running(_)) | None => None,
        }
    }

    /// The same, which is to be started now. `None` also when it runs: a session has one program.
    pub fn take_prepared(&mut self, id: ChannelId) -> Option<Preparing> {
        self.preparing(id)?;
        match self.open.remove(&id) {
            Some(Open::Preparing(preparing)) => Some(*preparing),
            Some(Open::Running(_)) | None => None,
        }
    }

    /// Adds a channel that is in use.
    pub fn run(&mut self, id: ChannelId) -> Streams {
        let (sender, orders) = mpsc::channel(ORDERS);
        let closed = self.ended.child_token();
        let input = Input::default();
        let running = Running { input: input.clone(), orders: sender, closed: closed.clone() };
        self.open.insert(id, Open::Running(running));
        Streams { input, orders, closed }
    }

    /// Where the data of a channel goes.
    pub fn input(&self, id: ChannelId) -> Option<&Input> {
        self.running(id).map(|running| &running.input)
    }

    /// Gives an order to a program. False when there is none, or it does not take its orders: a client cannot fill
    /// the memory with them.
    pub fn order(&self, id: ChannelId, order: Order) -> bool {
        self.running(id).is_some_and(|running| running.orders.try_send(order).is_ok())
    }

    /// How far windows may be opened. There is one size for all channels of a connection.
    pub fn window(&self) -> u32 {
        let rooms = self.open.values().map(|channel| match channel {
            Open::Preparing(_) => limits::QUEUE_BYTES,
            Open::Running(running) => running.input.room(),
        });
        let least = rooms.min().and_then(|room| u32::try_from(room).ok());
        let window = least.unwrap_or(limits::WINDOW_BYTES);
        window.clamp(limits::SLOW_WINDOW_BYTES, limits::WINDOW_BYTES)
    }

    /// The client has closed it.
    pub fn close(&mut self, id: ChannelId) {
        if let Some(Open::Running(running)) = self.open.remove(&id) {
            running.closed.cancel();
        }
    }

    fn running(&self, id: ChannelId) -> Option<&Running> {
        match self.open.get(&id) {
            Some(Open::Running(running)) => Some(running),
            Some(Open::Preparing(_)) | None => None,
        }
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}
