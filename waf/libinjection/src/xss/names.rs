//! The names of tags and attributes by which a page runs script.

/// What the value of an attribute can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    /// Nothing.
    Harmless,
    /// Run script, whatever it is.
    Active,
    /// Run script by its scheme.
    Url,
    /// Name another attribute.
    Reference,
}

/// What the attribute with this name is, whatever the case of its letters and however many NUL
/// stand in it.
pub(super) fn attribute(name: &[u8]) -> Attribute {
    if name.len() >= 5 && (is_event(name) || starts_with(name, "xmlns") || starts_with(name, "xlink")) {
        return Attribute::Active;
    }
    if name.len() < 2 {
        return Attribute::Harmless;
    }
    let mut buffer = [0; LONGEST_NAME];
    match lower_case_without_nul(name, &mut buffer) {
        b"datasrc" | b"dataformatas" | b"filter" | b"style" => Attribute::Active,
        b"action" | b"background" | b"by" | b"dynsrc" | b"folder" | b"formaction" | b"from" | b"handler"
        | b"href" | b"lowsrc" | b"poster" | b"src" | b"to" | b"values" | b"xlink:href" => Attribute::Url,
        b"attributename" => Attribute::Reference,
        _ => Attribute::Harmless,
    }
}

/// Whether a tag with this name runs script or loads what may, whatever the case of its letters
/// and however many NUL stand in it.
pub(super) fn is_active_tag(name: &[u8]) -> bool {
    if name.len() < 3 {
        return false;
    }
    if starts_with(name, "svg") || starts_with(name, "xsl") {
        return true;
    }
    let mut buffer = [0; LONGEST_NAME];
    matches!(
        lower_case_without_nul(name, &mut buffer),
        b"applet"
            | b"base"
            | b"comment"
            | b"embed"
            | b"frame"
            | b"frameset"
            | b"handler"
            | b"iframe"
            | b"import"
            | b"isindex"
            | b"link"
            | b"listener"
            | b"meta"
            | b"noscript"
            | b"object"
            | b"script"
            | b"style"
            | b"vmlframe"
            | b"xml"
            | b"xss"
    )
}

/// Whether `text` begins with `word`, whatever the case of its ASCII letters.
pub(super) fn starts_with(text: &[u8], word: &str) -> bool {
    text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
}

/// More than the longest name above.
const LONGEST_NAME: usize = 16;

/// `name` in lower case and without NUL; empty when it does not fit, since no listed name is so long.
fn lower_case_without_nul<'a>(name: &[u8], buffer: &'a mut [u8; LONGEST_NAME]) -> &'a [u8] {
    let mut length = 0;
    for byte in name.iter().filter(|&&byte| byte != 0) {
        let Some(place) = buffer.get_mut(length) else { return &[] };
        *place = byte.to_ascii_lowercase();
        length += 1;
    }
    &buffer[..length]
}

/// Whether the attribute is `on` and the name of an event, or something longer.
fn is_event(name: &[u8]) -> bool {
    let [b'o' | b'O', b'n' | b'N', event @ ..] = name else { return false };
    let mut lower = [0; LONGEST_EVENT];
    let length = event.len().min(LONGEST_EVENT);
    lower[..length].copy_from_slice(&event[..length]);
    lower.make_ascii_lowercase();
    let lower = &lower[..length];
    // No event in the list begins with another. So if one begins the name, it is the last of
    // those that do not come after the name.
    let after = EVENTS.partition_point(|known| known.as_bytes() <= lower);
    after > 0 && lower.starts_with(EVENTS[after - 1].as_bytes())
}

/// No event has a longer name.
const LONGEST_EVENT: usize = 48;

/// The events browsers have or had, in order, each without those that begin with another: `load`
/// stands for `loadend` and `loadstart` too.
#[rustfmt::skip]
static EVENTS: [&str; 254] = [
    "abort", "activate", "active", "addsourcebuffer", "addstream", "addtrack", "afterprint",
    "animationcancel", "animationend", "animationiteration", "animationstart", "audioend",
    "audioprocess", "audiostart", "autocomplete", "beforeactivate", "beforecopy", "beforecut",
    "beforeinput", "beforeload", "beforepaste", "beforeprint", "beforeunload", "beginevent",
    "blocked", "blur", "boundary", "bufferedamountlow", "cached", "cancel", "canplay", "change",
    "chargingchange", "chargingtimechange", "checking", "click", "close", "complete",
    "compositionend", "compositionstart", "compositionupdate", "connect", "contextmenu",
    "controllerchange", "copy", "cuechange", "cut", "dataavailable", "datachannel", "dblclick",
    "devicechange", "devicemotion", "deviceorientation", "dischargingtimechange", "disconnect",
    "domactivate", "domcharacterdatamodified", "domcontentloaded", "domfocusin", "domfocusout",
    "domnodeinserted", "domnoderemoved", "domsubtreemodified", "downloading", "drag", "drop",
    "durationchange", "emptied", "encrypted", "end", "enter", "error", "exit", "fetch", "finish",
    "focus", "formchange", "forminput", "gamepadconnected", "gamepaddisconnected", "gesturechange",
    "gestureend", "gesturescrollend", "gesturescrollstart", "gesturescrollupdate", "gesturestart",
    "gesturetap", "gotpointercapture", "hashchange", "icecandidate", "iceconnectionstatechange",
    "icegatheringstatechange", "inactive", "input", "install", "invalid", "keydown", "keypress",
    "keystatuseschange", "keyup", "languagechange", "leavepictureinpicture", "levelchange", "load",
    "lostpointercapture", "mark", "merchantvalidation", "message", "mousedown", "mouseenter",
    "mouseleave", "mousemove", "mouseout", "mouseover", "mouseup", "mousewheel", "mute",
    "negotiationneeded", "nexttrack", "nomatch", "noupdate", "obsolete", "offline", "online",
    "open", "orientationchange", "overconstrained", "overflowchanged", "pagehide", "pageshow",
    "paste", "pause", "payerdetailchange", "paymentauthorized", "paymentmethodchange",
    "paymentmethodselected", "play", "pointercancel", "pointerdown", "pointerenter", "pointerleave",
    "pointerlockchange", "pointerlockerror", "pointermove", "pointerout", "pointerover",
    "pointerup", "popstate", "previoustrack", "processorerror", "progress", "propertychange",
    "ratechange", "readystatechange", "rejectionhandled", "remove", "reset", "resize",
    "resourcetimingbufferfull", "result", "resume", "scroll", "search", "securitypolicyviolation",
    "seeked", "seeking", "select", "shippingaddresschange", "shippingcontactselected",
    "shippingmethodselected", "shippingoptionchange", "show", "signalingstatechange", "slotchange",
    "soundend", "soundstart", "sourceclose", "sourceended", "sourceopen", "speechend",
    "speechstart", "squeeze", "stalled", "start", "statechange", "stop", "storage", "submit",
    "success", "suspend", "textinput", "timeout", "timeupdate", "toggle", "tonechange",
    "touchcancel", "touchend", "touchforcechange", "touchmove", "touchstart", "track",
    "transitioncancel", "transitionend", "transitionrun", "transitionstart", "uncapturederror",
    "unhandledrejection", "unload", "unmute", "update", "upgradeneeded", "validatemerchant",
    "versionchange", "visibilitychange", "volumechange", "waiting", "webglcontextchanged",
    "webglcontextcreationerror", "webglcontextlost", "webglcontextrestored", "webkitanimationend",
    "webkitanimationiteration", "webkitanimationstart", "webkitbeforetextinserted",
    "webkitbeginfullscreen", "webkitcurrentplaybacktargetiswirelesschanged", "webkitendfullscreen",
    "webkitfullscreenchange", "webkitfullscreenerror", "webkitkeyadded", "webkitkeyerror",
    "webkitkeymessage", "webkitmouseforcechanged", "webkitmouseforcedown", "webkitmouseforceup",
    "webkitmouseforcewillbegin", "webkitneedkey", "webkitnetworkinfochange",
    "webkitplaybacktargetavailabilitychanged", "webkitpresentationmodechanged",
    "webkitregionoversetchange", "webkitremovesourcebuffer", "webkitsourceclose",
    "webkitsourceended", "webkitsourceopen", "webkitspeechchange", "webkittransitionend",
    "webkitwillrevealbottom", "webkitwillrevealleft", "webkitwillrevealright",
    "webkitwillrevealtop", "wheel", "write", "zoom",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_in_order_and_none_begins_another() {
        for pair in EVENTS.windows(2) {
            assert!(pair[0] < pair[1] && !pair[1].starts_with(pair[0]), "{pair:?}");
        }
        assert!(EVENTS.iter().all(|event| event.len() <= LONGEST_EVENT));
    }

    #[test]
    fn classifies_attributes() {
        let cases: [(&[u8], Attribute); 11] = [
            (b"onload", Attribute::Active),
            (b"ONLOADEND", Attribute::Active),
            (b"onloa", Attribute::Harmless),
            (b"on\0load", Attribute::Harmless),
            (b"xmlns:x", Attribute::Active),
            (b"STYLE", Attribute::Active),
            (b"h\0ref", Attribute::Url),
            (b"hrefs", Attribute::Harmless),
            (b"to", Attribute::Url),
            (b"attributename", Attribute::Reference),
            (b"averylongattributename", Attribute::Harmless),
        ];
        for (name, expected) in cases {
            assert_eq!(attribute(name), expected, "{}", name.escape_ascii());
        }
    }
}
