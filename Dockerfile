# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /build
# The dependencies by themselves: a layer that stays until they change. The empty sources make a binary that nobody uses.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked --features vendored \
    && rm -r src
COPY schemas schemas
COPY src src
# The files are older than the empty ones were, and cargo goes by their time.
RUN find src -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --features vendored

# It has CA certificates under /etc/ssl/certs, libc and libgcc, no shell, and a user that is not root.
# The vendored OpenSSL does not look for the certificates by itself: Kafka over TLS needs `ssl.ca.location: probe` (or
# the path of a mounted CA) under `kafka.properties`.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/stepup /usr/local/bin/stepup
# What is freed goes back after 60 ms, not after a second: that takes less memory, and what a batch gave back is used for the next.
ENV MIMALLOC_PURGE_DELAY=60
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/stepup"]
