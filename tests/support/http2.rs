//! HTTP/2 by hand: what a peer sends that follows no client's rules.
#![allow(dead_code)] // each test file uses a part

/// The preface of a connection, with empty settings.
pub fn preface() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat()
}

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A ping.
pub fn ping() -> Vec<u8> {
    frame(6, 0, 0, b"trunklin")
}

/// The headers of a gRPC call, on a stream that goes on with data.
pub fn call(stream: u32, path: &str) -> Vec<u8> {
    const POST: u8 = 0x83;
    const HTTP: u8 = 0x86;
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let path = [&[0x04][..], &text(path)].concat();
    let authority = [&[0x01][..], &text("coordinator")].concat();
    let content = [&[0x00][..], &text("content-type"), &text("application/grpc")].concat();
    let trailers = [&[0x00][..], &text("te"), &text("trailers")].concat();
    let headers = [&[POST, HTTP][..], &path, &authority, &content, &trailers].concat();
    const END_HEADERS: u8 = 4;
    frame(1, END_HEADERS, stream, &headers)
}

/// Data of a stream.
pub fn data(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(0, 0, stream, bytes)
}
