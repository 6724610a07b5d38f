//! The socket with clients of its own; commands to real plugins are in `tests/admin.rs`.

use super::*;
use std::os::unix::fs::PermissionsExt;
use tidegate_store::{Durability, Memory, Store};
use tokio::io::AsyncBufRead;

async fn ask(stream: &mut (impl AsyncBufRead + AsyncWriteExt + Unpin), request: &str) -> AdminAnswer {
    stream.write_all(format!("{request}\n").as_bytes()).await.unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

fn answering() -> Answering {
    let (store, _) = Store::open(Arc::new(Memory::default()), Durability::None).unwrap();
    Answering {
        plugins: None,
        metrics: Registry::default(),
        backups: Backups::of(Arc::new(store)),
        recordings: Recordings::of(Arc::default()),
    }
}

async fn connect(data_dir: &Path) -> BufReader<UnixStream> {
    BufReader::new(UnixStream::connect(admin_socket(data_dir)).await.unwrap())
}

const LIST: &str = r#"{"tidegate":1,"command":"plugin-list"}"#;

#[tokio::test]
async fn it_answers_line_by_line_and_goes_with_the_broker() {
    let data = tempfile::tempdir().unwrap();
    let socket = AdminSocket::bind(data.path()).unwrap().unwrap();
    let mode = std::fs::metadata(admin_socket(data.path())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let serving = tokio::spawn(socket.serve(answering()));
    let mut one = connect(data.path()).await;
    let mut two = connect(data.path()).await;
    for client in [&mut one, &mut two] {
        assert_eq!(ask(client, LIST).await.plugins, Some(Vec::new()));
    }
    let error = ask(&mut one, r#"{"tidegate":1,"command":"plugin-rollback","plugin":"p"}"#).await.error;
    assert!(error.unwrap().contains("no plugin folder"));
    assert!(ask(&mut one, "hello").await.error.unwrap().starts_with("not a request"));
    assert!(ask(&mut one, LIST).await.error.is_none(), "it goes on after a mistake");
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    assert!(!admin_socket(data.path()).exists());
}

#[tokio::test]
async fn a_line_without_end_and_too_many_clients_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let serving = tokio::spawn(AdminSocket::bind(data.path()).unwrap().unwrap().serve(answering()));
    let mut endless = connect(data.path()).await;
    let long = "x".repeat(usize::try_from(LONGEST_REQUEST).unwrap());
    let error = ask(&mut endless, &long[1..]).await.error.unwrap();
    assert!(error.starts_with("not a request"), "{error}");
    let error = ask(&mut endless, &long).await.error.unwrap();
    assert!(error.contains("65536 bytes at most"), "{error}");
    drop(endless);

    let mut others = Vec::new();
    loop {
        let mut client = connect(data.path()).await;
        match ask(&mut client, LIST).await.error {
            None => others.push(client),
            Some(error) => break assert!(error.contains("others ask already"), "{error}"),
        }
    }
    assert!((CLIENTS - 1..=CLIENTS).contains(&others.len()), "{}", others.len());
    serving.abort();
}

#[tokio::test]
async fn what_a_killed_broker_left_is_taken_over_and_a_running_one_is_respected() {
    let data = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(admin_socket(data.path())).unwrap());
    let first = AdminSocket::bind(data.path()).unwrap().unwrap();
    let error = AdminSocket::bind(data.path()).unwrap_err().to_string();
    assert!(error.contains("another broker") && error.contains("data_dir"), "{error}");
    drop(first);
    assert!(AdminSocket::bind(data.path()).unwrap().is_some());
}

#[tokio::test]
async fn a_broker_serves_without_it_where_there_can_be_none() {
    let data = tempfile::tempdir().unwrap();
    let deep = data.path().join("x".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    assert!(AdminSocket::bind(&deep).unwrap().is_none());
}
