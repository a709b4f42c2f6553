//! The roles that can be assigned: their names and the ids of their definitions. They are built-in roles of Azure,
//! whose ids are the same in every service.

/// Names and definition ids, the least role first.
pub const ROLES: [(&str, &str); 3] = [
    ("reader", "acdd72a7-3385-48ef-bd42-f606fba81ae7"),
    ("contributor", "b24988ac-6180-42a0-ab88-20f7382dd24c"),
    ("owner", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"),
];

/// The name of the role with this definition, given its id or the path that ends with it. The id itself if the role is
/// another one.
pub fn name(definition: &str) -> &str {
    let id = definition.rsplit('/').next().unwrap_or_default();
    let found = ROLES.iter().find(|(_, known)| known.eq_ignore_ascii_case(id));
    found.map_or(id, |(name, _)| name)
}

/// The id of the definition of the role with this name.
pub fn definition(name: &str) -> Option<&'static str> {
    ROLES.iter().find(|(known, _)| *known == name).map(|(_, id)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_names_and_ids() {
        for (known, id) in ROLES {
            assert_eq!((name(id), definition(known)), (known, Some(id)));
        }
        assert_eq!(name("/x/roleDefinitions/8E3AF657-a8ff-443c-a75c-2fe8c4bcb635"), "owner");
        assert_eq!(name("/x/another"), "another");
        assert_eq!(definition("Reader"), None);
    }
}
