/// Declares a closed set of names: an enum whose variants are spelled in snake_case on the wire and in JSON.
///
/// Each set names a fallback variant, so that a newer peer's word is kept as "some other kind" instead of
/// making its whole message unreadable.
macro_rules! kinds {
    ($(#[$meta:meta])* $name:ident, fallback $fallback:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, schemars::JsonSchema)]
        #[schemars(rename_all = "snake_case")]
        pub enum $name { $($(#[$vmeta])* #[schemars(rename = $text)] $variant,)+ }

        impl $name {
            /// Every member, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the wire and in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Reads a name; one that is not known becomes the fallback member.
            pub fn from_name(name: &str) -> Self {
                Self::known(name).unwrap_or(Self::$fallback)
            }

            /// Reads a name, or `None` when it is not a member.
            pub fn known(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Ok(Self::from_name(&name))
            }
        }
    };
}
pub(crate) use kinds;
