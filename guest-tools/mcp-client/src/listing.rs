//! The list of a server's tools, put together from its pages. Notes name the tools that are left
//! out, and the reasons. `tools` asks for the pages.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use crate::mirror::{self, Mirrored};
use crate::words;

/// The members of a tool's definition that are passed on.
const SHOWN_KEYS: [&str; 6] = [
    "name",
    "title",
    "description",
    "inputSchema",
    "outputSchema",
    "annotations",
];
/// The largest number of notes that a list of tools may have.
const MAX_NOTES: usize = 20;
/// The number of characters of a name in a note.
const MAX_NOTED_CHARS: usize = 100;
/// The largest number of pages in a row that bring nothing new.
const MAX_IDLE_PAGES: usize = 3;
/// The largest number of pages. A page costs computing time, and the host limits that too.
const MAX_PAGES: usize = 100;

/// The properties of a listed tool that calls depend on.
pub struct Listed {
    /// The parameters that also go into headers.
    pub mirrored: Vec<Mirrored>,
    /// Whether the tool promises structured content.
    pub is_structured: bool,
}

/// The list so far.
pub struct Listing {
    is_modern: bool,
    max_tools: u64,
    tools: Vec<Value>,
    /// For each name: the tool's index in the list, and the page that brought it.
    places: HashMap<String, (usize, usize)>,
    listed: HashMap<String, Listed>,
    notes: Vec<String>,
    cursors: HashSet<String>,
    pages: usize,
    idle_pages: usize,
}

impl Listing {
    /// An empty list of a server of this era.
    pub fn new(is_modern: bool, max_tools: u64) -> Self {
        Self {
            is_modern,
            max_tools,
            tools: Vec::new(),
            places: HashMap::new(),
            listed: HashMap::new(),
            notes: Vec::new(),
            cursors: HashSet::new(),
            pages: 0,
            idle_pages: 0,
        }
    }

    /// Whether there was a page.
    pub fn is_begun(&self) -> bool {
        self.pages > 0
    }

    /// Takes a page, and returns the cursor of the next one.
    ///
    /// # Errors
    /// The first page is no list of tools, or lists too many.
    pub fn take(&mut self, mut page: Map<String, Value>) -> Result<Option<Value>, String> {
        let tools = match page.remove("tools") {
            Some(Value::Array(tools)) => tools,
            None | Some(Value::Null) if self.is_begun() => Vec::new(),
            _ if self.is_begun() => {
                self.break_off("a page is not of the protocol");
                return Ok(None);
            }
            _ => return Err("listed its tools in a way that is not the protocol's".to_owned()),
        };
        self.pages += 1;
        let before = self.tools.len();
        for tool in tools {
            self.add(tool);
        }
        if self.tools.len() as u64 > self.max_tools {
            let what = format!(
                "lists more tools than max_tools ({}) allows",
                self.max_tools
            );
            if self.pages == 1 {
                return Err(what);
            }
            self.shorten();
            self.notes
                .push(format!("it {what}; the others are left out"));
            return Ok(None);
        }
        match self.tools.len() > before {
            true => self.idle_pages = 0,
            false => self.idle_pages += 1,
        }
        let Some(cursor) = page.remove("nextCursor").filter(leads_on) else {
            return Ok(None);
        };
        if self.idle_pages >= MAX_IDLE_PAGES || !self.cursors.insert(cursor.to_string()) {
            let note = "the list of its tools has no end; this is what came of it";
            self.notes.push(note.to_owned());
            return Ok(None);
        }
        if self.pages >= MAX_PAGES {
            self.notes.push(format!(
                "the list of its tools has more than {MAX_PAGES} pages; the others are left out"
            ));
            return Ok(None);
        }
        Ok(Some(cursor))
    }

    /// Notes why there is no further page.
    pub fn break_off(&mut self, why: &str) {
        let note = format!("the list of its tools broke off: {why}");
        self.notes.push(note);
    }

    /// Returns the tools, the properties that calls need, and the notes.
    pub fn end(mut self) -> (Vec<Value>, HashMap<String, Listed>, Vec<String>) {
        let more = self.notes.len().saturating_sub(MAX_NOTES);
        if more > 0 {
            // The last note says how the list ended.
            self.notes.drain(MAX_NOTES - 1..self.notes.len() - 1);
            self.notes.push(format!("{more} more notes are left out"));
        }
        (self.tools, self.listed, self.notes)
    }

    fn add(&mut self, tool: Value) {
        let (name, mirrored, tool) = match definition(tool, self.is_modern) {
            Ok(found) => found,
            Err(why) => return self.notes.push(why),
        };
        if let Some(&(at, page)) = self.places.get(&name) {
            // A server that goes round in a circle lists the same tools again on a later page.
            if page == self.pages || self.tools[at] != tool {
                let name = words::bounded(&name, MAX_NOTED_CHARS);
                self.notes.push(format!(
                    "a second tool \"{name}\" is left out: the first of this name stands"
                ));
            }
            return;
        }
        self.places
            .insert(name.clone(), (self.tools.len(), self.pages));
        let is_structured = tool.get("outputSchema").is_some();
        let listed = Listed {
            mirrored,
            is_structured,
        };
        self.listed.insert(name, listed);
        self.tools.push(tool);
    }

    /// Drops the tools beyond the limit.
    fn shorten(&mut self) {
        let max = usize::try_from(self.max_tools).unwrap_or(usize::MAX);
        self.tools.truncate(max);
        let places = &self.places;
        self.listed
            .retain(|name, _| places.get(name).is_some_and(|(at, _)| *at < max));
    }
}

/// Whether a cursor leads to another page.
fn leads_on(cursor: &Value) -> bool {
    match cursor {
        Value::String(cursor) => !cursor.is_empty(),
        Value::Number(_) => true,
        _ => false,
    }
}

/// A tool's name, its mirrored parameters, and its definition as it is passed on.
///
/// # Errors
/// Why the tool is left out.
fn definition(tool: Value, is_modern: bool) -> Result<(String, Vec<Mirrored>, Value), String> {
    let Value::Object(mut tool) = tool else {
        return Err("what is no object is left out of its tools".to_owned());
    };
    let name = tool.get("name").and_then(Value::as_str);
    let Some(name) = name.filter(|name| !name.is_empty()).map(str::to_owned) else {
        return Err("a tool without a name is left out".to_owned());
    };
    let left_out = |why: &str| {
        let name = words::bounded(&name, MAX_NOTED_CHARS);
        format!("the tool \"{name}\" is left out: {why}")
    };
    let task = tool.get("execution").and_then(|it| it.get("taskSupport"));
    if task.is_some_and(|task| task == "required") {
        return Err(left_out(
            "it runs as a task alone, which this client does not support",
        ));
    }
    let schema = tool
        .entry("inputSchema")
        .and_modify(|schema| {
            if !schema.is_object() {
                *schema = json!({ "type": "object" });
            }
        })
        .or_insert_with(|| json!({ "type": "object" }));
    let mirrored = match is_modern {
        true => mirror::mirrored(schema).map_err(left_out)?,
        false => Vec::new(),
    };
    tool.retain(|key, value| SHOWN_KEYS.contains(&key.as_str()) && !value.is_null());
    Ok((name, mirrored, Value::Object(tool)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page of these tools.
    fn page(names: &[&str], cursor: Value) -> Map<String, Value> {
        let tool = |name: &&str| json!({ "name": name, "inputSchema": { "type": "object" } });
        let tools: Vec<Value> = names.iter().map(tool).collect();
        let page = json!({ "tools": tools, "nextCursor": cursor });
        page.as_object().expect("an object").clone()
    }

    fn names(listing: Listing) -> (Vec<String>, Vec<String>) {
        let (tools, listed, notes) = listing.end();
        assert_eq!(tools.len(), listed.len());
        let name = |tool: &Value| tool["name"].as_str().expect("a name").to_owned();
        (tools.iter().map(name).collect(), notes)
    }

    #[test]
    fn a_list_that_breaks_off_keeps_what_was_listed() {
        let mut listing = Listing::new(true, 10);
        assert!(!listing.is_begun());
        assert_eq!(listing.take(page(&["a"], json!("2"))), Ok(Some(json!("2"))));
        assert!(listing.is_begun());
        listing.break_off("no room");
        let (listed, notes) = names(listing);
        assert_eq!(listed, ["a"]);
        assert!(notes[0].ends_with("broke off: no room"), "{notes:?}");

        let mut listing = Listing::new(true, 10);
        assert!(listing.take(Map::new()).is_err());
        assert_eq!(listing.take(page(&["a"], json!("2"))), Ok(Some(json!("2"))));
        let wrong = json!({ "tools": 7, "nextCursor": "3" });
        let wrong = wrong.as_object().expect("an object").clone();
        assert_eq!(listing.take(wrong), Ok(None));
        let (listed, notes) = names(listing);
        assert_eq!((listed.len(), notes.len()), (1, 1), "{notes:?}");
    }

    #[test]
    fn pages_without_anything_new_come_to_an_end() {
        for again in [&[][..], &["a"][..]] {
            let mut listing = Listing::new(true, 1_000);
            let mut pages = 0;
            let mut next = page(&["a"], json!(0));
            while let Ok(Some(cursor)) = listing.take(next) {
                pages += 1;
                assert_eq!(cursor, pages - 1);
                next = page(again, json!(pages));
            }
            assert_eq!(pages, MAX_IDLE_PAGES, "{again:?}");
            let (listed, notes) = names(listing);
            assert_eq!((listed.len(), notes.len()), (1, 1), "{notes:?}");
            assert!(notes[0].contains("has no end"), "{notes:?}");
        }
    }

    #[test]
    fn a_list_near_a_limit_keeps_what_was_listed() {
        let mut listing = Listing::new(true, 3);
        assert!(listing.take(page(&["a", "b"], json!("2"))).is_ok());
        assert_eq!(listing.take(page(&["c", "d"], json!("3"))), Ok(None));
        let (listed, notes) = names(listing);
        assert_eq!(listed, ["a", "b", "c"]);
        assert!(notes[0].contains("max_tools (3)"), "{notes:?}");
        let mut listing = Listing::new(true, 1);
        let all = listing.take(page(&["a", "b"], json!("2")));
        assert!(all.is_err_and(|what| what.contains("max_tools (1)")));

        let mut listing = Listing::new(true, 1_000);
        let mut pages = 0;
        let one = |at: i32| page(&[&at.to_string()], json!(at));
        while let Ok(Some(_)) = listing.take(one(pages)) {
            pages += 1;
        }
        let (listed, notes) = names(listing);
        assert_eq!((listed.len(), notes.len()), (MAX_PAGES, 1), "{notes:?}");
    }

    #[test]
    fn a_second_tool_of_a_name_is_noted() {
        let mut listing = Listing::new(true, 10);
        assert!(listing.take(page(&["a", "a"], json!("2"))).is_ok());
        let other = json!({ "tools": [{ "name": "a", "description": "another" }] });
        let other = other.as_object().expect("an object").clone();
        assert_eq!(listing.take(other), Ok(None));
        let (listed, notes) = names(listing);
        assert_eq!((listed.len(), notes.len()), (1, 2), "{notes:?}");
        assert!(notes[0].contains("a second tool \"a\""), "{notes:?}");
    }

    #[test]
    fn the_last_of_many_notes_is_kept() {
        let mut listing = Listing::new(true, 1_000);
        assert!(listing.take(page(&[""; 50], json!("2"))).is_ok());
        listing.break_off("no room");
        let (_, notes) = names(listing);
        assert_eq!(notes.len(), MAX_NOTES + 1);
        assert!(notes[MAX_NOTES - 1].contains("no room"), "{notes:?}");
        assert_eq!(notes[MAX_NOTES], "31 more notes are left out");
    }

    #[test]
    fn a_cursor_leads_on_where_it_says_something() {
        for cursor in [json!("a"), json!(2)] {
            assert!(leads_on(&cursor), "{cursor}");
        }
        for cursor in [json!(""), json!(null), json!(false), json!({}), json!([])] {
            assert!(!leads_on(&cursor), "{cursor}");
        }
    }

    #[test]
    fn a_tool_without_a_usable_schema_takes_an_object() {
        for tool in [
            json!({ "name": "a" }),
            json!({ "name": "a", "inputSchema": null }),
            json!({ "name": "a", "inputSchema": true }),
            json!({ "name": "a", "inputSchema": "object", "outputSchema": null }),
        ] {
            let (_, _, shown) = definition(tool.clone(), true).expect("usable");
            let expected = json!({ "name": "a", "inputSchema": { "type": "object" } });
            assert_eq!(shown, expected, "{tool}");
        }
    }

    #[test]
    fn a_tool_that_breaks_the_rules_is_left_out() {
        let tool = json!({ "name": "a", "inputSchema": { "type": "object" }, "icons": [] });
        let (name, _, shown) = definition(tool, true).expect("valid");
        assert_eq!(name, "a");
        assert!(shown.get("icons").is_none());
        let annotated = json!({ "name": "a", "inputSchema": { "x-mcp-header": "A" } });
        assert!(definition(annotated.clone(), true).is_err());
        assert!(definition(annotated, false).is_ok());
        let task = json!({ "name": "a", "execution": { "taskSupport": "optional" } });
        assert!(definition(task, false).is_ok());
        for wrong in [
            json!(7),
            json!({}),
            json!({ "name": "" }),
            json!({ "name": "a", "execution": { "taskSupport": "required" } }),
        ] {
            assert!(definition(wrong.clone(), true).is_err(), "{wrong}");
        }
    }
}
