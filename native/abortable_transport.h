// A transport context whose buffers are known, so that every wait in progress can be ended from another thread.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>

#include <gloo/transport/context.h>
#include <gloo/transport/pair.h>
#include <gloo/transport/unbound_buffer.h>

namespace {

using Millis = std::chrono::milliseconds;

// The rank that this thread's last transfer was with: the best guess at who failed where Gloo's message names nobody.
thread_local int lastPeer = -1;

struct Aborted : std::runtime_error { using std::runtime_error::runtime_error; };

struct Buffer;

// What one context's buffers share: who waits, and whether it is over.
struct Guard {
  std::mutex mutex;
  std::set<Buffer*> buffers;
  bool over = false;

  void check() {
    std::lock_guard<std::mutex> lock(mutex);
    if (over) throw Aborted("the group is over");
  }
};

struct Buffer : gloo::transport::UnboundBuffer {
  std::unique_ptr<gloo::transport::UnboundBuffer> inner;
  std::shared_ptr<Guard> guard;
  int source = -1, target = -1;

  Buffer(std::unique_ptr<gloo::transport::UnboundBuffer> buffer, std::shared_ptr<Guard> shared)
      : UnboundBuffer(buffer->ptr, buffer->size), inner(std::move(buffer)), guard(std::move(shared)) {
    std::lock_guard<std::mutex> lock(guard->mutex);
    if (guard->over) throw Aborted("the group is over");
    guard->buffers.insert(this);
  }
  ~Buffer() override {
    std::lock_guard<std::mutex> lock(guard->mutex);
    guard->buffers.erase(this);
  }
  bool waitRecv(int* rank, Millis timeout) override {
    lastPeer = source;
    guard->check();
    if (!inner->waitRecv(rank, timeout)) throw Aborted("the group was aborted");
    return true;
  }
  bool waitSend(int* rank, Millis timeout) override {
    lastPeer = target;
    guard->check();
    if (!inner->waitSend(rank, timeout)) throw Aborted("the group was aborted");
    return true;
  }
  void abortWaitRecv() override { inner->abortWaitRecv(); }
  void abortWaitSend() override { inner->abortWaitSend(); }
  void send(int rank, uint64_t slot, size_t offset, size_t bytes) override {
    lastPeer = target = rank;
    inner->send(rank, slot, offset, bytes);
  }
  void recv(int rank, uint64_t slot, size_t offset, size_t bytes) override {
    lastPeer = source = rank;
    inner->recv(rank, slot, offset, bytes);
  }
  void recv(std::vector<int> ranks, uint64_t slot, size_t offset, size_t bytes) override {
    source = -1;
    inner->recv(std::move(ranks), slot, offset, bytes);
  }
};

struct Transport : gloo::transport::Context {
  std::shared_ptr<gloo::transport::Context> inner;
  std::shared_ptr<Guard> guard;

  Transport(std::shared_ptr<gloo::transport::Context> context, std::shared_ptr<Guard> shared)
      : Context(context->rank, context->size), inner(std::move(context)), guard(std::move(shared)) {}
  std::unique_ptr<gloo::transport::Pair>& getPair(int rank) override { return inner->getPair(rank); }
  std::unique_ptr<gloo::transport::Pair>& createPair(int rank) override { return inner->createPair(rank); }
  std::unique_ptr<gloo::transport::UnboundBuffer> createUnboundBuffer(void* data, size_t size) override {
    return std::unique_ptr<gloo::transport::UnboundBuffer>(new Buffer(inner->createUnboundBuffer(data, size), guard));
  }
};

}  // namespace
