//! A successor takes the listening sockets over: no request fails, no connection is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use hop3_proxy::{
    EventSender, Hold, ListenConfig, MemoryCertificates, Proxy, ProxyConfig, ProxyHandle, RouteTable,
    Services, hand_over, take_handed,
};
use support::http2::connect as http2;
use support::{Client, PATIENCE, Reply, TestBackend, backend, ok, to};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Promised: this many upgrades under load without a failed request.
const UPGRADES: usize = 20;

fn hello(_: &support::Received) -> Reply {
    Reply::Keep(ok("hello"))
}

fn slow(_: &support::Received) -> Reply {
    Reply::Slowly(Duration::from_millis(300), vec![ok("late")])
}

/// Not yet accepting, as the product starts one: a client that came before the routes would find none.
fn held(config: ProxyConfig, backend: &TestBackend) -> ProxyHandle {
    let services =
        Services { certificates: Arc::new(MemoryCertificates::default()), events: EventSender::disabled() };
    let handle = Proxy::start(config, services).unwrap();
    handle.publish(RouteTable::new(vec![to(backend)]).unwrap());
    handle
}

fn first(backend: &TestBackend) -> ProxyHandle {
    let any = "127.0.0.1:0".parse().unwrap();
    let listen = ListenConfig { http: Some(any), https: Some(any), ..ListenConfig::default() };
    let proxy = held(ProxyConfig { listen, hold: Hold::Clients, ..ProxyConfig::default() }, backend);
    proxy.accept();
    proxy
}

/// As two processes do it: the sockets travel through a Unix socket.
fn successor(old: &ProxyHandle, backend: &TestBackend) -> ProxyHandle {
    let (here, there) = UnixStream::pair().unwrap();
    hand_over(&here, &old.sockets()).unwrap();
    let listen = old.addresses();
    let listen = ListenConfig { http: listen.http, https: listen.https, ..ListenConfig::default() };
    let inherited = take_handed(&there).unwrap();
    let config = ProxyConfig { listen, inherited, hold: Hold::Everybody, ..ProxyConfig::default() };
    let proxy = held(config, backend);
    proxy.accept();
    proxy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_upgrades_under_load_lose_nothing() {
    let backend = backend(hello).await;
    let mut proxy = first(&backend);
    let address = proxy.addresses().http.unwrap();
    let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (over, served) = (over.clone(), served.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    // A new connection each time: those are what an upgrade could lose.
                    let answer = Client::connect(address).await.get("/").await;
                    assert_eq!((answer.status, &answer.text()[..]), (200, "hello"));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..UPGRADES {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let next = successor(&proxy, &backend);
        let old = std::mem::replace(&mut proxy, next);
        assert!(old.give_way(support::PATIENCE).await, "requests under way ended by themselves");
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let served = served.load(Ordering::Relaxed);
    println!("{served} requests over {UPGRADES} upgrades, none failed");
    assert!(served > UPGRADES, "{served}");
}

#[tokio::test]
async fn a_request_under_way_ends_with_the_old_one() {
    let backend = backend(slow).await;
    let old = first(&backend);
    let address = old.addresses().http.unwrap();
    let mut client = Client::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
    backend.reached(1).await;
    let new = successor(&old, &backend);
    let (ended, answer) = tokio::join!(old.shutdown(support::PATIENCE), client.response(false));
    assert!(ended);
    assert_eq!(answer.unwrap().text(), "late");
    drop(new);
}

#[tokio::test]
async fn a_kept_connection_is_sent_to_the_successor_by_an_answer() {
    let backend = backend(hello).await;
    let old = first(&backend);
    let address = old.addresses().http.unwrap();
    let mut client = Client::connect(address).await;
    assert_eq!(client.get("/").await.header("connection"), None);
    let new = successor(&old, &backend);
    let ending = tokio::spawn(old.give_way(Duration::from_secs(60)));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "not cut off in between");
    assert!(ending.await.unwrap());
    assert_eq!(Client::connect(address).await.get("/").await.status, 200);
    drop(new);
}

/// Status and body; `None` when the connection takes no more requests.
type Answer = Result<Option<(u16, Vec<u8>)>, h2::Error>;

/// Sends a request; its answer, once it came.
fn ask(sender: &SendRequest<Bytes>) -> JoinHandle<Answer> {
    let sender = sender.clone();
    tokio::spawn(async move {
        let request = http::Request::get("https://shop.test/").body(()).unwrap();
        let Ok(mut sender) = sender.ready().await else { return Ok(None) };
        let Ok((answer, _)) = sender.send_request(request, true) else { return Ok(None) };
        let (head, mut body) = answer.await?.into_parts();
        let mut all = Vec::new();
        while let Some(piece) = body.data().await.transpose()? {
            body.flow_control().release_capacity(piece.len())?;
            all.extend_from_slice(&piece);
        }
        Ok(Some((head.status.as_u16(), all)))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_streams_end_with_the_old_one_and_further_ones_begin_with_the_successor() {
    let backend = backend(slow).await;
    let old = first(&backend);
    let (sender, connection) = http2(old.addresses().https.unwrap()).await;
    let under_way: Vec<_> = (0..10).map(|_| ask(&sender)).collect();
    backend.reached(under_way.len()).await;
    let new = successor(&old, &backend);
    let ending = tokio::spawn(old.give_way(PATIENCE));
    for answer in under_way {
        let answer = timeout(PATIENCE, answer).await.expect("an answer").unwrap();
        assert_eq!(answer.unwrap(), Some((200, b"late".to_vec())));
    }
    // The client still holds the connection: it is the server that says its end.
    let ended = timeout(PATIENCE, connection).await.expect("the end of the connection").unwrap();
    assert!(ended.is_ok(), "{ended:?}");
    let refused = timeout(PATIENCE, ask(&sender)).await.expect("an end").unwrap();
    assert!(matches!(refused, Ok(None)), "{refused:?}");
    assert!(ending.await.unwrap(), "requests under way ended by themselves");
    let (sender, _connection) = http2(new.addresses().https.unwrap()).await;
    assert_eq!(ask(&sender).await.unwrap().unwrap(), Some((200, b"late".to_vec())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrades_under_load_lose_no_request_over_http2() {
    let backend = backend(hello).await;
    let mut proxy = first(&backend);
    let address = proxy.addresses().https.unwrap();
    let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (over, served) = (over.clone(), served.clone());
        let first = http2(address).await;
        clients.push(tokio::spawn(async move {
            let mut current = first;
            while !over.load(Ordering::Relaxed) {
                match ask(&current.0).await.unwrap() {
                    Ok(Some(answer)) => {
                        assert_eq!(answer, (200, b"hello".to_vec()));
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(None) => current = http2(address).await,
                    Err(error) => {
                        // What a GOAWAY leaves out was never looked at, so clients send it again (RFC 9113 section 6.8).
                        assert!(error.is_go_away(), "{error:?}");
                        current = http2(address).await;
                    }
                }
            }
        }));
    }
    for _ in 0..5 {
        let before = served.load(Ordering::Relaxed);
        while served.load(Ordering::Relaxed) < before + 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let next = successor(&proxy, &backend);
        let old = std::mem::replace(&mut proxy, next);
        assert!(old.give_way(PATIENCE).await, "requests under way ended by themselves");
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let served = served.load(Ordering::Relaxed);
    println!("{served} requests over 5 upgrades, none failed");
}

#[tokio::test]
async fn held_clients_wait_for_their_answer() {
    let backend = backend(hello).await;
    let any = "127.0.0.1:0".parse().unwrap();
    let listen = ListenConfig { http: Some(any), ..ListenConfig::default() };
    let proxy = held(ProxyConfig { listen, hold: Hold::Clients, ..ProxyConfig::default() }, &backend);
    let mut client = Client::connect(proxy.addresses().http.unwrap()).await;
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(backend.count(), 0);
    proxy.accept();
    assert_eq!(client.response(false).await.unwrap().text(), "hello");
}

#[tokio::test]
async fn without_a_successor_clients_are_refused_at_once() {
    let backend = backend(slow).await;
    let proxy = first(&backend);
    let address = proxy.addresses().http.unwrap();
    let mut client = Client::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
    backend.reached(1).await;
    let ending = tokio::spawn(proxy.shutdown(support::PATIENCE));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody would ever answer");
    assert_eq!(client.response(false).await.unwrap().text(), "late");
    assert!(ending.await.unwrap());
}
