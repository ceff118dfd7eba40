use super::*;
use crate::http1::target::Scheme;

fn request(method: &str, target: &str, lines: &str) -> Request {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    crate::http1::request::parse_request(head.into(), Scheme::Http, 100).unwrap()
}

async fn get(files: &Arc<StaticFiles>, target: &str, lines: &str) -> Result<(ResponseHead, Vec<u8>), u16> {
    let request = request("GET", target, lines);
    let mut answer = files.answer(&request).await?;
    let mut body = Vec::new();
    if let Some(file) = answer.file.as_mut() {
        while let Some(piece) = file.next().await.unwrap() {
            body.extend_from_slice(&piece);
        }
        assert_eq!(body.len() as u64, answer.length);
    }
    Ok((answer.head, body))
}

/// A site with a secret beside it, a link out of it and a link within it.
fn site() -> (tempfile::TempDir, Arc<StaticFiles>) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("site");
    std::fs::create_dir_all(root.join("sub/empty")).unwrap();
    std::fs::create_dir_all(root.join(".git")).unwrap();
    std::fs::create_dir_all(root.join(".well-known")).unwrap();
    for (name, content) in [
        ("site/index.html", "home"),
        ("site/a b.txt", "0123456789"),
        ("site/sub/index.html", "sub"),
        ("site/.git/config", "secret"),
        ("site/.env", "secret"),
        ("site/.well-known/x", "known"),
        ("secret", "secret"),
    ] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
    std::os::unix::fs::symlink("/etc", root.join("etc")).unwrap();
    std::os::unix::fs::symlink("index.html", root.join("in")).unwrap();
    let files = Arc::new(StaticFiles::new(root));
    (folder, files)
}

#[tokio::test]
async fn paths_are_safe() {
    let (_folder, files) = site();
    let good = [
        ("/", "home"),
        ("/in", "home"),
        ("/sub/", "sub"),
        ("/a%20b.txt", "0123456789"),
        ("/x/../index.html?q", "home"),
        ("/.well-known/x", "known"),
    ];
    for (target, content) in good {
        let (head, body) = get(&files, target, "").await.unwrap();
        assert_eq!((head.status, &body[..]), (200, content.as_bytes()), "{target}");
    }
    for target in [
        "/../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/..\\secret",
        "/..%5csecret",
        "/out",
        "/etc/passwd",
        "/.env",
        "/.git/config",
        "/sub/../.git/config",
        "/%2egit/config",
        "/index.html%00.txt",
        "/none",
        "/index.html/",
        "/sub/empty/",
        "/sub/empty",
        "/%ff",
        "//../../../../etc/passwd",
        "/....//secret",
        "/a/%252e%252e/secret",
        "/out/..",
    ] {
        let answer = get(&files, target, "").await;
        let leaked = answer.as_ref().is_ok_and(|(_, body)| body == b"secret");
        assert!(!leaked, "{target} leaked");
        if target != "/out/.." {
            assert_eq!(answer.map(|(head, _)| head.status), Err(404), "{target}");
        }
    }
}

#[tokio::test]
async fn what_takes_the_place_of_a_file_or_of_the_folder_is_seen_at_once() {
    let (folder, files) = site();
    let root = folder.path().join("site");
    let body = async |target: &str| get(&files, target, "").await.map(|(_, body)| body);
    let large = |byte: u8| vec![byte; 10_000];
    std::fs::write(root.join("x.bin"), large(b'1')).unwrap();
    assert_eq!(body("/x.bin").await.unwrap(), large(b'1'));
    std::fs::write(root.join("x.bin"), large(b'2')).unwrap();
    assert_eq!(body("/x.bin").await.unwrap(), large(b'2'));
    std::fs::rename(&root, folder.path().join("old")).unwrap();
    assert_eq!(body("/x.bin").await, Err(404));
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("x.bin"), large(b'3')).unwrap();
    assert_eq!(body("/x.bin").await.unwrap(), large(b'3'));
    std::fs::remove_file(root.join("x.bin")).unwrap();
    std::os::unix::fs::symlink("../secret", root.join("x.bin")).unwrap();
    assert_eq!(body("/x.bin").await, Err(404));
    // The folder itself may be reached through a link, as it is put into the settings.
    std::os::unix::fs::symlink("old", folder.path().join("link")).unwrap();
    let linked = Arc::new(StaticFiles::new(folder.path().join("link")));
    assert_eq!(get(&linked, "/x.bin", "").await.unwrap().1, large(b'2'));
}

#[tokio::test]
async fn folders_redirect_and_stay_on_this_host() {
    let (_folder, files) = site();
    let (head, _) = get(&files, "/sub?a=b", "").await.unwrap();
    assert_eq!(
        (head.status, head.headers.get("location").map(|value| &value[..])),
        (301, Some(&b"/sub/?a=b"[..]))
    );
    let (head, _) = get(&files, "//sub", "").await.unwrap();
    assert_eq!(head.headers.get("location").map(|value| &value[..]), Some(&b"/sub/"[..]));
}

#[tokio::test]
async fn conditional_requests() {
    let (_folder, files) = site();
    let (head, _) = get(&files, "/a%20b.txt", "").await.unwrap();
    let text = |name: &str| String::from_utf8(head.headers.get(name).unwrap().to_vec()).unwrap();
    let (etag, modified) = (text("etag"), text("last-modified"));
    for (line, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-None-Match: \"x\", W/{etag}\r\n"), 304),
        ("If-None-Match: *\r\n".to_owned(), 304),
        ("If-None-Match: \"x\"\r\n".to_owned(), 200),
        (format!("If-Modified-Since: {modified}\r\n"), 304),
        ("If-Modified-Since: Mon, 01 Jan 1990 00:00:00 GMT\r\n".to_owned(), 200),
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {modified}\r\n"), 200),
        (format!("Range: bytes=0-0\r\nIf-Range: {etag}\r\n"), 206),
        ("Range: bytes=0-0\r\nIf-Range: \"x\"\r\n".to_owned(), 200),
        (format!("If-Match: {etag}\r\n"), 200),
        ("If-Match: *\r\n".to_owned(), 200),
        (format!("If-Match: \"x\", {etag}\r\nRange: bytes=0-0\r\n"), 206),
        (format!("If-Unmodified-Since: {modified}\r\n"), 200),
    ] {
        let (head, _) = get(&files, "/a%20b.txt", &line).await.unwrap();
        assert_eq!(head.status, status, "{line}");
    }
}

#[tokio::test]
async fn ranges() {
    let (_folder, files) = site();
    for (value, expected) in [
        ("bytes=0-3", Ok((206, "0123"))),
        ("bytes=7-", Ok((206, "789"))),
        ("bytes=-2", Ok((206, "89"))),
        ("bytes=-99", Ok((206, "0123456789"))),
        ("bytes=8-99", Ok((206, "89"))),
        ("bytes=10-", Ok((416, ""))),
        ("bytes=-0", Ok((416, ""))),
        ("bytes=3-1", Ok((200, "0123456789"))),
        ("bytes=0-1,3-4", Ok((200, "0123456789"))),
        ("bytes=a-b", Ok((200, "0123456789"))),
        ("bytes=-", Ok((200, "0123456789"))),
        ("lines=1-2", Ok((200, "0123456789"))),
    ] {
        let answer = get(&files, "/a%20b.txt", &format!("Range: {value}\r\n")).await;
        let answer = answer.map(|(head, body)| (head.status, String::from_utf8(body).unwrap()));
        let expected: Result<_, u16> = expected;
        assert_eq!(answer, expected.map(|(status, body)| (status, body.to_owned())), "{value}");
    }
    let head = files.answer(&request("HEAD", "/a%20b.txt", "Range: bytes=0-3\r\n")).await.unwrap().head;
    let length = head.headers.get("content-length").map(|length| &length[..]);
    assert_eq!((head.status, length), (200, Some(&b"10"[..])), "only GET has ranges");
}

#[tokio::test]
async fn a_date_vouches_only_for_a_file_that_has_settled() {
    let (_folder, files) = site();
    let file = std::fs::File::options().write(true).open(files.root.join("a b.txt")).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let now = std::time::SystemTime::now();
    // One that was changed a moment ago would make the test depend on how fast it runs.
    for (modified, status) in [(now - hour, 206), (now + hour, 200)] {
        file.set_modified(modified).unwrap();
        let lines = format!("Range: bytes=0-0\r\nIf-Range: {}\r\n", httpdate::fmt_http_date(modified));
        assert_eq!(get(&files, "/a%20b.txt", &lines).await.unwrap().0.status, status);
    }
}

#[tokio::test]
async fn failed_preconditions() {
    let (_folder, files) = site();
    for line in [
        "If-Match: \"x\"\r\n",
        "If-Match: W/\"x\"\r\n",
        "If-Unmodified-Since: Mon, 01 Jan 1990 00:00:00 GMT\r\n",
    ] {
        assert_eq!(get(&files, "/a%20b.txt", line).await.map(|(head, _)| head.status), Err(412), "{line}");
    }
}

#[tokio::test]
async fn precompressed_files_are_sent_to_those_who_take_them() {
    let (folder, files) = site();
    let root = folder.path().join("site");
    for (name, content) in [
        ("app.js", "plain"),
        ("app.js.gz", "gz"),
        ("app.js.br", "br"),
        ("pic.png", "png"),
        ("pic.png.gz", "x"),
    ] {
        std::fs::write(root.join(name), content).unwrap();
    }
    for (path, accept, coding, content) in [
        ("/app.js", "gzip", Some("gzip"), "gz"),
        ("/app.js", "gzip, br, zstd", Some("br"), "br"),
        ("/app.js", "br;q=0.1, gzip", Some("gzip"), "gz"),
        ("/app.js", "identity", None, "plain"),
        ("/pic.png", "gzip", None, "png"),
    ] {
        let (head, body) = get(&files, path, &format!("Accept-Encoding: {accept}\r\n")).await.unwrap();
        let found =
            head.headers.get("content-encoding").map(|value| String::from_utf8(value.to_vec()).unwrap());
        assert_eq!((found.as_deref(), &body[..]), (coding, content.as_bytes()), "{path} {accept}");
        assert_eq!(head.headers.contains("vary"), path == "/app.js");
    }
    let part = get(&files, "/app.js", "Accept-Encoding: gzip\r\nRange: bytes=0-0\r\n").await.unwrap();
    assert_eq!((part.0.status, &part.1[..]), (206, &b"p"[..]));
    let tag = |head: &ResponseHead| head.headers.get("etag").cloned();
    let packed = get(&files, "/app.js", "Accept-Encoding: gzip\r\n").await.unwrap().0;
    let plain = get(&files, "/app.js", "").await.unwrap().0;
    assert_ne!(tag(&packed), tag(&plain));
}

#[tokio::test]
async fn folders_are_listed_where_that_is_wanted() {
    let (folder, files) = site();
    let root = folder.path().join("site");
    std::fs::create_dir(root.join("list")).unwrap();
    for name in ["a<b>.txt", "javascript:x", ".secret"] {
        std::fs::write(root.join("list").join(name), "x").unwrap();
    }
    assert_eq!(get(&files, "/list/", "").await.map(|(head, _)| head.status), Err(404));
    let files = Arc::new(StaticFiles { listing: true, ..(*files).clone() });
    let (head, page) = get(&files, "/list/", "").await.unwrap();
    let page = String::from_utf8(page).unwrap();
    assert_eq!(head.status, 200);
    assert!(page.contains("<a href=\"./a%3Cb%3E.txt\">a&lt;b&gt;.txt</a>"), "{page}");
    assert!(page.contains("href=\"./javascript:x\"") && !page.contains("secret"), "{page}");
    assert_eq!(get(&files, "/list", "").await.unwrap().0.status, 301);
    assert_eq!(get(&files, "/sub/", "").await.unwrap().1, b"sub");
}
