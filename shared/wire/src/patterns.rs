//! Rules of texts as regular expressions. Parsers check them, and schemas contain them.

use regex_lite::Regex;
use std::sync::LazyLock;

/// A rule for a text, as an expression that is valid in Rust and in JSON Schema.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub source: &'static str,
    /// The message for a text that does not match; it follows the name of the field.
    pub predicate: &'static str,
    /// Whether the message shows the text; never where it may contain a secret.
    pub shows_text: bool,
    regex: Regex,
}

impl Pattern {
    fn new(source: &'static str, predicate: &'static str, shows_text: bool) -> Self {
        let regex = Regex::new(source).expect("the expressions of this file are tested");
        Self { source, predicate, shows_text, regex }
    }

    pub fn is_kept_by(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

macro_rules! patterns {
    ($($(#[$about:meta])* $name:ident = $source:expr, $predicate:expr, $shows:ident;)*) => {
        $($(#[$about])*
        pub(crate) static $name: LazyLock<Pattern> =
            LazyLock::new(|| Pattern::new($source, $predicate, patterns!(@ $shows)));)*

        #[cfg(test)]
        const ALL: &[&LazyLock<Pattern>] = &[$(&$name),*];
    };
    (@ and_shows) => { true };
    (@ silent) => { false };
}

patterns! {
    NOT_EMPTY = r"\S", "must not be empty", silent;
    /// No component of the path is `..`.
    NOT_UPWARDS =
        r"^(|[^/.][^/]*|\.([^/.][^/]*)?|\.\.[^/]+)(/(|[^/.][^/]*|\.([^/.][^/]*)?|\.\.[^/]+))*$",
        "must not contain `..`", silent;
    RELATIVE = r"^([^/]|$)", "must be a relative path, without `/` at its start", silent;
    /// At least one component is more than `.`.
    NAMES_DIRECTORY = r"(^|/)([^/.]|\.[^/])", "must name a directory", silent;
    VM_SIZE = r"^[A-Za-z0-9_.-]{1,64}$",
        "must be the name of a machine size, such as STANDARD_NC6", and_shows;
    /// The form of what `model::vm_size::check_cluster_size` accepts, for schemas.
    CLUSTER_VM_SIZE =
        r"^([Ss][Tt][Aa][Nn][Dd][Aa][Rr][Dd]_[A-Za-z]{1,3}[0-9]{1,3}[A-Za-z0-9-]{0,16}(_[A-Za-z0-9_]{1,16})?|[A-Za-z][A-Za-z-]{0,15}[0-9][A-Za-z0-9-]{0,15}\.([Nn][Aa][Nn][Oo]|[Mm][Ii][Cc][Rr][Oo]|[Ss][Mm][Aa][Ll][Ll]|[Mm][Ee][Dd][Ii][Uu][Mm]|([0-9]{0,3}[Xx])?[Ll][Aa][Rr][Gg][Ee]|[Mm][Ee][Tt][Aa][Ll](-[0-9]{1,3}[Xx][Ll])?))$",
        "must be a VM size of Azure or an instance type of EC2", and_shows;
    REGION = r"^[A-Za-z0-9_.-]{1,90}$",
        "must be the name of a region, such as eastus or eu-west-1", and_shows;
    NOT_DOTS_ONLY = r"[^.]",
        "must be the name of a region, such as eastus or eu-west-1", and_shows;
    TOKEN_NAME = r"^[A-Za-z0-9_.-]{1,90}$",
        "must be 1 to 90 letters, digits, dashes, underscores or dots", and_shows;
    NOT_ONLY_DOTS = r"[^.]", "must not be only dots", and_shows;
    SHA256 = r"^[0-9a-f]{64}$", "must be 64 lower-case hexadecimal digits", and_shows;
    DIRECTORY_ID = r"^[A-Za-z0-9_]{1,64}$",
        "must be 1 to 64 letters, digits or underscores", and_shows;
    VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$",
        "must be letters, digits and underscores, not beginning with a digit", and_shows;
    /// Parameters become parts of names of variables.
    SWEEP_PARAMETER = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$",
        "must be 1 to 64 letters, digits or underscores, not beginning with a digit", and_shows;
    SWEEP_NAME = r"^[A-Za-z0-9_-]{1,64}$",
        "must be 1 to 64 letters, digits, dashes or underscores", and_shows;
    /// As jobs may report it (`protocol::is_metric_name`).
    METRIC = r"^[A-Za-z0-9_./:@%()+-]{1,64}$",
        "must be the name of a metric, 1 to 64 letters, digits or any of _ . / : @ % ( ) + -", and_shows;
    FILE_MODE = r"^0?[0-7]{3,4}$", "must be an octal file mode, such as 0777", and_shows;
    /// Azure's have no upper case and no underscores, but those of its own examples have.
    STORAGE_ACCOUNT = r"^[A-Za-z0-9_-]{3,24}$",
        "must be the name of a storage account, 3 to 24 letters, digits, dashes or underscores",
        and_shows;
    STORAGE_CONTAINER = r"^[$]?[A-Za-z0-9_-]{1,63}$",
        "must be the name of a blob container, 1 to 63 letters, digits, dashes or underscores",
        and_shows;
    /// The message shows no URLs: they may contain a signature or a password.
    FILE_SHARE_URL =
        r"^[hH][tT][tT][pP][sS]?://[A-Za-z0-9_-]+[.][fF][iI][lL][eE]([.][A-Za-z0-9_-]+)+/[$]?[A-Za-z0-9_-]{1,63}(/[^?#\s]*)?$",
        "must be the URL of a file share, https://{account}.file.core.windows.net/{share}, or of a directory of it",
        silent;
    SECURITY_GROUP = r"^sg-[0-9a-f]{8,17}$",
        "must be the id of a security group of EC2, such as sg-0123456789abcdef0", and_shows;
    CAPACITY_RESERVATION = r"^(cr-[0-9a-f]{8,17}|arn:aws[a-z-]{0,12}:resource-groups:[a-z0-9-]{1,24}:[0-9]{12}:group/[A-Za-z0-9_.-]{1,128})$",
        "must be the id of a capacity reservation of EC2, such as cr-0123456789abcdef0, or the ARN of a resource group of reservations",
        and_shows;
    S3_BUCKET = r"^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$", "must be the name of an S3 bucket", and_shows;
    LUSTRE_MOUNT_NAME = r"^[A-Za-z0-9_-]{1,63}$",
        "must be the mount name of a file system of FSx for Lustre, letters and digits", and_shows;
    DNS_NAME = r"^[A-Za-z0-9_-]{1,63}([.][A-Za-z0-9_-]{1,63})+$", "must be a DNS name", and_shows;
    /// Of file servers, which nodes mount with NFS.
    MOUNT_OPTIONS =
        r"^([A-Za-z0-9_]+(=[A-Za-z0-9_.:/-]+)?(,[A-Za-z0-9_]+(=[A-Za-z0-9_.:/-]+)?)*)?$",
        "must be mount options separated by commas, such as rw,noatime", and_shows;
    SECRET_URL = r"^(https?://[^/?#\s]+/[^?#\s]+|arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^?#\s]+|arn:[a-z-]+:ssm:[a-z0-9-]+:[0-9]{12}:parameter/[^?#\s]+)$",
        "must be the ARN of a secret of AWS Secrets Manager or of a parameter of SSM, or a URL such as https://{vault}.vault.azure.net/secrets/{name}",
        silent;
    REGISTRY = r"^[^\s]+$", "must be the address of a registry, without blanks", silent;
    IMAGE = r"^[^\s]+$", "must be the name of an image, without blanks", and_shows;
    SHM_SIZE = r"^[0-9]+([.][0-9]+)? ?([bB]|[kKmMgGtT]([iI]?[bB])?)?$",
        "must be a size as Docker takes it, such as 64M or 2g", and_shows;
    IP_RANGE =
        r"^([*]|(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])([.](25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}(/(3[0-2]|[12]?[0-9]))?)$",
        "must be an IPv4 address or range, such as 203.0.113.7 or 203.0.113.0/24, or * for all",
        and_shows;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &Pattern, good: &[&str], bad: &[&str]) {
        let kept = |text: &&&str| pattern.is_kept_by(text);
        let wrong: Vec<&&str> = good.iter().filter(|text| !kept(text)).collect();
        assert!(wrong.is_empty(), "refused: {wrong:?}");
        let wrong: Vec<&&str> = bad.iter().filter(kept).collect();
        assert!(wrong.is_empty(), "accepted: {wrong:?}");
    }

    #[test]
    fn every_expression_is_one() {
        for pattern in ALL {
            assert!(!pattern.source.is_empty());
        }
    }

    #[test]
    fn paths() {
        let good =
            ["", ".", "/", "a", "a/b", "./a//b/", "..a", "a..", ".a", "...", "a/.../b", "$A/b"];
        check(&NOT_UPWARDS, &good, &["..", "../a", "a/..", "a/../b", "/..", "..//a", "./.."]);
        check(&RELATIVE, &["", "a", "./a", "a/"], &["/", "/a"]);
        check(&NAMES_DIRECTORY, &["a", "./a", ".a", "//a", ".//.b"], &["", ".", "/", "./", "././"]);
    }

    #[test]
    fn names_of_ec2() {
        let good = ["sg-01234567", "sg-0123456789abcdef0"];
        let bad = ["", "sg-", "sg-0123456", "sg-0123456789abcdef01", "SG-01234567", "sg-01234567 "];
        check(&SECURITY_GROUP, &good, &bad);
        let group = "arn:aws:resource-groups:eu-west-1:123456789012:group/gpu-2_a.b";
        let china = "arn:aws-cn:resource-groups:cn-north-1:123456789012:group/gpu";
        check(
            &CAPACITY_RESERVATION,
            &["cr-0123456789abcdef0", group, china],
            &["", "gpu", "cr-", &format!("{group}/x"), "arn:aws:ec2:eu-west-1:1:group/gpu"],
        );
    }

    #[test]
    fn names() {
        check(&REGION, &["eastus", "eu-west-1", "a.b", "a."], &["", "a b", "a/b"]);
        check(&NOT_DOTS_ONLY, &["a", ".a."], &["", ".", "..."]);
        check(&DIRECTORY_ID, &["A", "_1"], &["", "a-b", "a b"]);
        check(&VARIABLE, &["A", "_a1"], &["", "1A", "A=B", "A-B"]);
        check(&STORAGE_ACCOUNT, &["abc", "storage_account_name"], &["", "ab", "a.b", "<account>"]);
        check(&STORAGE_CONTAINER, &["data", "$root", "a-b"], &["", "a/b", "a b"]);
        check(&FILE_MODE, &["777", "0777", "1777", "01777"], &["", "0o77", "778", "77", "rwx"]);
    }

    #[test]
    fn addresses() {
        let good = [
            "https://a.file.core.windows.net/share",
            "HTTP://A.FILE.CORE.WINDOWS.NET/SHARE/",
            "https://a.file.core.windows.net/share/a/b%20c",
        ];
        let bad = [
            "",
            "https://a.file.core.windows.net",
            "https://a.file.core.windows.net/",
            "https://a.file.core.windows.net/share/a b",
            "https://a.file.core.windows.net/share?sig=1",
            "https://a.blob.core.windows.net/share",
            "https://<account>.file.core.windows.net/share",
            "//a/b",
            "ftp://a.file.core.windows.net/b",
            "https://a/b",
        ];
        check(&FILE_SHARE_URL, &good, &bad);
        let good = [
            "https://v.vault.azure.net/secrets/s/1",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lab/token-AbCdEf",
            "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/lab/token",
        ];
        let bad = [
            "s",
            "https://v",
            "v/s",
            "arn:aws:s3:::bucket/key",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/a b",
            "arn:aws:secretsmanager:eu-west-1:12345:secret:s",
        ];
        check(&SECRET_URL, &good, &bad);
        let good = ["*", "10.0.0.4", "10.0.0.0/8", "255.255.255.255/32", "0.0.0.0/0"];
        let bad = ["", "10.0.0", "256.0.0.1", "10.0.0.0/33", "10.0.0.01", "::1", "a", "10.0.0.0/"];
        check(&IP_RANGE, &good, &bad);
    }

    #[test]
    fn mounts() {
        check(
            &MOUNT_OPTIONS,
            &["", "rw", "rw,noatime", "nfsvers=4.1,rsize=1048576"],
            &["-o rw", "rw, ro", "rw,", ",rw", "a=b=c", "a b", "rw;id", "a=$(id)", "a='b'"],
        );
        check(&S3_BUCKET, &["a.b-c", "data"], &["", "..", "a/b", ".a", "a..b", "-o a"]);
        check(&DNS_NAME, &["fs-0.fsx.eu-west-1.amazonaws.com"], &["", "fs-0", "a.b/c", "a..b"]);
    }

    #[test]
    fn sizes() {
        check(
            &SHM_SIZE,
            &["67108864", "64M", "64m", "2g", "1.5GB", "1GiB"],
            &["", "m", "-1", "1x"],
        );
        check(&VM_SIZE, &["STANDARD_NC6", "g5.xlarge"], &["", "a b", "a/b"]);
        let sizes = ["Standard_NC6s_v3", "STANDARD_M128-32ms", "g5.xlarge", "m7i.metal-24xl"];
        let sizes = [&sizes[..], &["STANDARD_NC6_Promo", "u-6tb1.metal", "C7I.large"]].concat();
        check(&CLUSTER_VM_SIZE, &sizes, &["", "nonsense", "NC6", "g5.2large", "g5.huge", ".large"]);
        for size in sizes {
            assert_eq!(model::vm_size::check_cluster_size(size), Ok(()), "{size}");
        }
    }
}
