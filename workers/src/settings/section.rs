//! Declares a section of the settings once: fields, defaults and the text that both rustdoc and the commented TOML show.

/// Name and documentation of one field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldDoc {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static [&'static str],
    /// The fields below it, if it is a table.
    pub(crate) table: Option<&'static SectionDoc>,
}

/// Documentation of one table of the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SectionDoc {
    pub(crate) doc: &'static [&'static str],
    pub(crate) fields: &'static [FieldDoc],
}

/// A table of the file.
pub(crate) trait Section {
    const DOC: SectionDoc;
}

/// `section! { /// doc  pub struct Name { /// doc  #[serde(..)] field: Type = default, … } }`, with `[table Type]` in
/// place of the default for a field that is itself a section.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])*
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $(#[serde($($serde:tt)*)])?
                $field:ident: $type:ty = $default:expr $(, table $table:ty)?;
            )*
        }
    ) => {
        $(#[doc = $section_doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[doc = $doc])*
                $(#[serde($($serde)*)])?
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::settings::section::Section for $name {
            const DOC: $crate::settings::section::SectionDoc = $crate::settings::section::SectionDoc {
                doc: &[$($section_doc,)*],
                fields: &[$(
                    $crate::settings::section::FieldDoc {
                        name: stringify!($field),
                        doc: &[$($doc,)*],
                        table: $crate::settings::section::section!(@table $($table)?),
                    },
                )*],
            };
        }
    };
    (@table) => { None };
    (@table $table:ty) => { Some(&<$table as $crate::settings::section::Section>::DOC) };
}

pub(crate) use section;
