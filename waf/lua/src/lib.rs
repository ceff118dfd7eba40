//! Lua scripts of rules (`SecRuleScript`, `exec`, `@inspectFile`), in a sandbox.
//!
//! Owns the interpreter: which libraries a script has, what it may cost, and
//! the table `m` of ModSecurity v3 through which it sees the transaction. Knows
//! no rules: what `m` answers is the [`Host`]'s. Every run has an interpreter of
//! its own, so nothing of one transaction is visible in the next.
//!
//! A script has the base library without what loads code, prints or catches
//! errors (`load`, `dofile`, `require`, `print`, `pcall`, `collectgarbage`), and
//! `string`, `table` and `math` without what could take long in a single call.
#![forbid(unsafe_code)]

mod sandbox;
mod string_guard;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mlua::{Lua, MultiValue, Value, Variadic};

/// What the scripts of one transaction may take together, in instructions of the virtual machine.
pub const INSTRUCTIONS: u64 = 3_000_000;
/// What a run counts at least: its interpreter has to be made.
const RUN: u64 = 10_000;
/// Most memory that a run may hold, in bytes.
pub const MEMORY: usize = 8 << 20;

/// The transaction, as a script sees it.
pub trait Host {
    /// `m.log(level, text)`.
    fn log(&mut self, level: i64, text: &[u8]);

    /// The values of a variable such as `ARGS`, `ARGS.id` or `TX:score`, with their names.
    fn variables(&mut self, name: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)>;

    /// A value after a transformation; `None` when there is none of that name.
    fn transform(&mut self, name: &str, value: &[u8]) -> Option<Vec<u8>>;

    /// `m.setvar("tx.name", value)`.
    ///
    /// # Errors
    /// Why the variable cannot be set, in words.
    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), String>;
}

/// Why a script could not be run to its end; the text names script and line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScriptError(String);

/// A script that was read and is known to compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    name: String,
    source: Vec<u8>,
}

impl Script {
    /// Reads a script. `name` is shown in errors.
    ///
    /// # Errors
    /// When it is no Lua; compiled scripts are refused too.
    pub fn new(name: &str, source: &[u8]) -> Result<Self, ScriptError> {
        let script = Self { name: name.to_owned(), source: source.to_vec() };
        let lua = sandbox::new().map_err(error)?;
        script.load(&lua)?;
        Ok(script)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs the script and its function `main`, with the value that is looked
    /// at. What `main` returns is text when the rule is to match.
    ///
    /// # Errors
    /// When the script fails, or takes more instructions than are left, or more memory than it may.
    pub fn run(
        &self,
        host: &mut dyn Host,
        value: Option<&[u8]>,
        instructions: &mut u64,
    ) -> Result<Option<Vec<u8>>, ScriptError> {
        let Some(left) = instructions.checked_sub(RUN) else {
            *instructions = 0;
            return Err(ScriptError("the scripts of the transaction take too many instructions".to_owned()));
        };
        let left = Rc::new(Cell::new(left));
        let result = self.run_within(host, value, &left);
        *instructions = left.get();
        result
    }

    fn run_within(
        &self,
        host: &mut dyn Host,
        value: Option<&[u8]>,
        left: &Rc<Cell<u64>>,
    ) -> Result<Option<Vec<u8>>, ScriptError> {
        let lua = sandbox::new().map_err(error)?;
        let chunk = self.load(&lua)?;
        sandbox::limit(&lua, left.clone(), MEMORY).map_err(error)?;
        let host = RefCell::new(host);
        let result = lua.scope(|scope| {
            let m = lua.create_table()?;
            m.set(
                "log",
                scope.create_function(|_, (level, text): (f64, mlua::LuaString)| {
                    host.borrow_mut().log(level as i64, &text.as_bytes());
                    Ok(())
                })?,
            )?;
            m.set(
                "getvar",
                scope.create_function(|lua, (name, transformations): (mlua::LuaString, Value)| {
                    let found = host.borrow_mut().variables(&name.as_bytes()).into_iter().next();
                    let Some((_, value)) = found else { return Ok(Value::Nil) };
                    let value = transformed(&mut **host.borrow_mut(), value, &transformations)?;
                    // As in v3, what is empty is not there.
                    if value.is_empty() {
                        Ok(Value::Nil)
                    } else {
                        lua.create_string(&value).map(Value::String)
                    }
                })?,
            )?;
            m.set(
                "getvars",
                scope.create_function(|lua, (name, transformations): (mlua::LuaString, Value)| {
                    let list = lua.create_table()?;
                    let found = host.borrow_mut().variables(&name.as_bytes());
                    for (name, value) in found {
                        let value = transformed(&mut **host.borrow_mut(), value, &transformations)?;
                        let entry = lua.create_table()?;
                        entry.set("name", lua.create_string(&name)?)?;
                        entry.set("value", lua.create_string(&value)?)?;
                        list.push(entry)?;
                    }
                    Ok(list)
                })?,
            )?;
            m.set(
                "setvar",
                scope.create_function(|_, (name, value): (mlua::LuaString, mlua::LuaString)| {
                    host.borrow_mut().set(&name.as_bytes(), &value.as_bytes()).map_err(mlua::Error::runtime)
                })?,
            )?;
            lua.globals().set("m", m)?;
            chunk.call::<()>(())?;
            let main: mlua::Function = lua.globals().get("main")?;
            let value = value.filter(|value| !value.is_empty());
            let arguments = match value {
                Some(value) => Variadic::from_iter([lua.create_string(value)?]),
                None => Variadic::new(),
            };
            let returned: MultiValue = main.call(arguments)?;
            Ok(returned.front().and_then(text_of))
        });
        result.map_err(error)
    }

    fn load(&self, lua: &Lua) -> Result<mlua::Function, ScriptError> {
        lua.load(&*self.source)
            .set_name(format!("@{}", self.name))
            .set_mode(mlua::chunk::ChunkMode::Text)
            .into_function()
            .map_err(error)
    }
}

/// What Lua takes for text: strings and numbers. Empty text is none.
fn text_of(value: &Value) -> Option<Vec<u8>> {
    let text = match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Integer(number) => number.to_string().into_bytes(),
        Value::Number(number) => number.to_string().into_bytes(),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// `t` is the name of a transformation, or a list of names.
fn transformed(host: &mut dyn Host, value: Vec<u8>, t: &Value) -> mlua::Result<Vec<u8>> {
    let names: Vec<String> = match t {
        Value::String(name) => vec![name.to_string_lossy()],
        Value::Table(list) => list.sequence_values::<String>().collect::<mlua::Result<_>>()?,
        _ => Vec::new(),
    };
    let mut value = value;
    for name in names.iter().filter(|name| *name != "none") {
        value = host
            .transform(name, &value)
            .ok_or_else(|| mlua::Error::runtime(format!("there is no transformation `{name}`")))?;
    }
    Ok(value)
}

/// The first line of Lua's message, without its stack.
fn error(error: mlua::Error) -> ScriptError {
    let mut text = error.to_string();
    if let Some(end) = text.find("\nstack traceback") {
        text.truncate(end);
    }
    ScriptError(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests;
