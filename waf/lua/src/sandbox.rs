//! The interpreter: its libraries and its bounds.

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Function, HookTriggers, Lua, LuaOptions, MultiValue, Result, StdLib, Table, Value, VmState};

use crate::string_guard;

/// How many instructions pass between two looks at the count.
const STEP: u32 = 1000;

/// What base, `string`, `table` and `math` have that no script needs: loading
/// code, output, catching the error that ends a run, and calls that take long
/// without an instruction.
const REMOVED: &[(&str, &[&str])] = &[
    (
        "_G",
        &[
            "collectgarbage",
            "dofile",
            "load",
            "loadfile",
            "loadstring",
            "pcall",
            "print",
            "require",
            "warn",
            "xpcall",
        ],
    ),
    ("string", &["dump", "pack", "packsize", "unpack"]),
    ("table", &["move"]),
    ("math", &["random", "randomseed"]),
];

/// An interpreter with what a script may use.
pub(crate) fn new() -> Result<Lua> {
    let lua = Lua::new_with(StdLib::STRING | StdLib::TABLE | StdLib::MATH, LuaOptions::new())?;
    for (library, names) in REMOVED {
        let library: Table = lua.globals().get(*library)?;
        for name in *names {
            library.set(*name, Value::Nil)?;
        }
    }
    string_guard::install(&lua)?;
    guard_finalizers(&lua)?;
    Ok(lua)
}

/// Finalizers run where instructions are not counted, so there are none.
fn guard_finalizers(lua: &Lua) -> Result<()> {
    let original: Function = lua.globals().get("setmetatable")?;
    let guarded = lua.create_function(move |_, arguments: MultiValue| {
        if let Some(Value::Table(metatable)) = arguments.get(1)
            && !metatable.raw_get::<Value>("__gc")?.is_nil()
        {
            return Err(mlua::Error::runtime("setmetatable: `__gc` is not supported"));
        }
        original.call::<MultiValue>(arguments)
    })?;
    lua.globals().set("setmetatable", guarded)
}

/// From now on a run ends with an error when no instructions are left, or when it would hold more memory.
pub(crate) fn limit(lua: &Lua, left: Rc<Cell<u64>>, memory: usize) -> Result<()> {
    lua.set_memory_limit(memory)?;
    lua.set_hook(HookTriggers::new().every_nth_instruction(STEP), move |_, _| {
        left.set(left.get().saturating_sub(u64::from(STEP)));
        match left.get() {
            0 => Err(mlua::Error::runtime("the script takes too many instructions")),
            _ => Ok(VmState::Continue),
        }
    })
}
