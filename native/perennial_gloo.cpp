// A C interface (pg_*) over Gloo's TCP transport, for P/Invoke. Four ideas:
//  1. The store is two callbacks, so that rendezvous goes through whatever the caller uses for membership.
//  2. Every transport buffer is tracked. Gloo cannot wake a blocked collective by closing connections; pg_abort wakes the buffers' waits.
//  3. The first failure breaks a group at once and closes its connections. Gloo tells a dead connection only to calls that have not begun
//     to transfer, so every pair also has a standing receive (the canary): its error is the news of a death, its byte a polite farewell.
//  4. No exception crosses the boundary: a code, a thread-local message and, where known, the rank of the peer.
#include <cstring>
#include <thread>
#include <unistd.h>

#include <gloo/allgatherv.h>
#include <gloo/allreduce.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/common/error.h>
#include <gloo/context.h>
#include <gloo/transport/tcp/address.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/types.h>

#include "abortable_transport.h"
#include "reductions.h"

#define PG_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

enum Code { kDone = 0, kPeerLost = -1, kTimedOut = -2, kAborted = -3, kInternal = -4, kArgument = -5 };
enum Algorithm { kAuto, kRing, kBcube, kDirect };
constexpr uint8_t kDirectSlot = 0x41, kScatterSlot = 0x42, kMessageSlot = 0x43, kCanarySlot = 0x44, kProbeSlot = 0x45;  // Gloo's own end at 0x08.

thread_local std::string lastMessage;

// ---- A group: one full mesh, good until its first failure ----

using StoreSet = int (*)(void* user, const char* key, const void* data, int64_t size);                               // 0, or any other value: failed
using StoreGet = int64_t (*)(void* user, const char* key, void* data, int64_t capacity, int64_t milliseconds);  // size, -2 timed out, other negative: failed

struct Group : gloo::Context {
  std::shared_ptr<Guard> guard = std::make_shared<Guard>();
  std::vector<std::string> hosts;
  std::mutex failureMutex;
  int failure = kDone, failurePeer = -1;
  std::string failureMessage;
  std::vector<char> canaryBytes;
  std::unique_ptr<gloo::transport::UnboundBuffer> canary;
  std::thread watcher;

  using gloo::Context::Context;

  // Every rank publishes its host and one address a pair under prefix/rank, then connects to each peer in rank order.
  void connect(const char* host, const std::string& prefix, Millis timeout, void* user, StoreSet set, StoreGet get) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    gloo::transport::tcp::attr attributes(host);
    device_ = gloo::transport::tcp::CreateDevice(attributes);
    auto inner = device_->createContext(rank, size);
    inner->setTimeout(timeout);
    char name[256] = {0};
    gethostname(name, sizeof(name) - 1);
    std::vector<char> mine(name, name + sizeof(name));
    for (int i = 0; i < size; i++) {
      if (i == rank) { mine.resize(mine.size() + addressSize()); continue; }
      auto& pair = inner->createPair(i);
      pair->setLocalRank(0);
      auto bytes = pair->address().bytes();
      mine.insert(mine.end(), bytes.begin(), bytes.end());
    }
    transportContext_ = std::make_shared<Transport>(inner, guard);
    if (set(user, (prefix + std::to_string(rank)).c_str(), mine.data(), int64_t(mine.size())) != 0)
      throw std::runtime_error("the store refused this rank's address");
    hosts.assign(size, name);
    std::vector<char> theirs(mine.size());
    for (int i = 0; i < size; i++) {
      if (i == rank) continue;
      lastPeer = i;
      guard->check();
      const auto left = std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now()).count();
      const auto found = get(user, (prefix + std::to_string(i)).c_str(), theirs.data(), int64_t(theirs.size()), left > 1 ? left : 1);
      if (found == kTimedOut) throw gloo::IoException("Timed out waiting for the address of rank " + std::to_string(i));
      if (found != int64_t(mine.size())) throw std::runtime_error("the store gave no address of rank " + std::to_string(i));
      hosts[i] = std::string(theirs.data(), strnlen(theirs.data(), sizeof(name)));
      std::vector<char> bytes(theirs.begin() + sizeof(name) + rank * addressSize(), theirs.begin() + sizeof(name) + (rank + 1) * addressSize());
      inner->getPair(i)->connect(bytes);
    }
    if (size > 1) watch();
  }

  // Waits for bad news (a connection's error) or farewells from every peer.
  void watch() {
    canaryBytes.resize(size);
    canary = createUnboundBuffer(canaryBytes.data(), canaryBytes.size());
    const uint64_t slot = gloo::Slot::build(kCanarySlot, 0);
    for (int i = 0; i < size; i++)
      if (i != rank) canary->recv(i, slot, i, 1);
    watcher = std::thread([this] {
      try {
        for (int left = size - 1; left > 0; left--) canary->waitRecv(nullptr, std::chrono::hours(24 * 3650));
      } catch (const Aborted&) {
      } catch (const std::exception& error) {
        // A call here that timed out closes all pairs: it reports the failure itself, and knows for whom it waited.
        const std::string message = error.what();
        if (message.find("Application timeout") == std::string::npos) end(kPeerLost, culprit(message), message);
      }
    });
  }

  // Leaves: with a farewell where the group is whole, so that peers who still work among themselves are not disturbed.
  void leave() {
    if (watcher.joinable()) {
      try {
        char bye = 1;
        auto buffer = createUnboundBuffer(&bye, 1);
        const uint64_t slot = gloo::Slot::build(kCanarySlot, 0);
        for (int i = 0; i < size; i++) {
          if (i == rank) continue;
          buffer->send(i, slot, 0, 1);
          buffer->waitSend(nullptr, Millis(200));
        }
      } catch (const std::exception&) {
        // A peer that is gone needs no farewell.
      }
      silence();
      watcher.join();
    }
    canary.reset();
  }

  void silence() {
    std::lock_guard<std::mutex> lock(guard->mutex);
    guard->over = true;
    for (auto* buffer : guard->buffers) { buffer->abortWaitRecv(); buffer->abortWaitSend(); }
  }

  static size_t addressSize() { return gloo::transport::tcp::Address().bytes().size(); }

  // Keeps the first failure, wakes every blocked call and closes the connections, so that the peers learn of it at once.
  int end(int code, int peer, const std::string& message) {
    bool first = false;
    {
      std::lock_guard<std::mutex> lock(failureMutex);
      if (failure == kDone) { failure = code; failurePeer = peer; failureMessage = message; first = true; }
      code = failure; lastPeer = failurePeer; lastMessage = failureMessage;
    }
    if (first) {
      silence();
      if (transportContext_)
        for (int i = 0; i < size; i++)
          if (i != rank && transportContext_->getPair(i)) transportContext_->getPair(i)->close();
    }
    return code;
  }

  // Gloo names the peer's socket, which on the accepting side is a passing port: so the pairs are asked which of them holds this very error.
  int culprit(const std::string& message) {
    for (int i = 0; i < size; i++) {
      if (i == rank || !transportContext_) continue;
      try {
        char unused;
        createUnboundBuffer(&unused, 1)->recv(i, gloo::Slot::build(kProbeSlot, 0));
      } catch (const Aborted&) {
        return -1;
      } catch (const std::exception& error) {
        if (message == error.what()) return i;
      }
    }
    return -1;
  }
};

template <typename Action>
int guarded(Group* group, Action action) {
  lastPeer = -1;
  try {
    group->guard->check();
    action();
    return kDone;
  } catch (const BadArgument& error) {
    lastMessage = error.what();
    return kArgument;
  } catch (const Aborted& error) {
    return group->end(kAborted, -1, error.what());
  } catch (const gloo::IoException& error) {
    const std::string message = error.what();
    const bool late = message.find("imed out") != std::string::npos || message.find("imeout") != std::string::npos;
    const int named = group->culprit(message);
    return group->end(late ? kTimedOut : kPeerLost, named >= 0 ? named : lastPeer, message);
  } catch (const std::exception& error) {
    return group->end(kInternal, -1, error.what());
  } catch (...) {
    return group->end(kInternal, -1, "an unknown native error");
  }
}

// Sends segment i of `source` (offsets in bytes) to rank i and receives one segment of `bytes` from every rank into `scratch`, all at once.
void exchange(const std::shared_ptr<Group>& group, char* source, const std::vector<size_t>& offsets, const std::vector<size_t>& sizes,
              char* scratch, uint64_t slot, Millis timeout) {
  const int rank = group->rank, size = group->size;
  const size_t bytes = sizes[rank];
  size_t total = 0;
  for (int i = 0; i < size; i++) total = std::max(total, offsets[i] + sizes[i]);
  auto in = group->createUnboundBuffer(source, total);
  std::vector<std::unique_ptr<gloo::transport::UnboundBuffer>> out(size);
  int sends = 0;
  for (int step = 1; step < size; step++) {
    const int from = (rank + size - step) % size;
    if (bytes == 0) continue;
    out[from] = group->createUnboundBuffer(scratch + from * bytes, bytes);
    out[from]->recv(from, slot, 0, bytes);
  }
  for (int step = 1; step < size; step++) {
    const int to = (rank + step) % size;
    if (sizes[to] == 0) continue;
    in->send(to, slot, offsets[to], sizes[to]);
    sends++;
  }
  memcpy(scratch + rank * bytes, source + offsets[rank], bytes);
  for (auto& buffer : out)
    if (buffer) buffer->waitRecv(nullptr, timeout);
  while (sends-- > 0) in->waitSend(nullptr, timeout);
}

// Folds the ranks' segments in rank order, so the result does not depend on who computes it.
void fold(char* destination, char* scratch, int size, size_t count, size_t width, Reduce reduce) {
  for (int i = 1; i < size; i++) reduce(i == size - 1 ? destination : scratch, scratch, scratch + i * count * width, count);
  if (size == 1) memcpy(destination, scratch, count * width);
}

// Scratch memory that a thread keeps: fresh pages at each call would cost more than the network.
thread_local std::vector<char> scratchMemory;
char* scratchOf(size_t bytes) {
  if (scratchMemory.size() < bytes) scratchMemory.resize(bytes);
  return scratchMemory.data();
}

constexpr size_t kPiece = 2 << 20;         // bytes a rank in one round of reduce-scatter: bounds the scratch memory, and stays in cache
constexpr size_t kDirectLimit = 1 << 20;  // bytes times ranks up to which one round beats the ring (measured for 2 and 4 ranks)

using Handle = std::shared_ptr<Group>;
Handle& of(void* handle) { return *static_cast<Handle*>(handle); }

}  // namespace

PG_EXPORT int pg_version() { return 1; }
PG_EXPORT const char* pg_error_message() { return lastMessage.c_str(); }
PG_EXPORT int pg_error_peer() { return lastPeer; }

// Makes the context object; pg_connect then joins it to its peers and may be aborted from another thread.
PG_EXPORT void* pg_create(int rank, int size) {
  try {
    return new Handle(std::make_shared<Group>(rank, size));
  } catch (const std::exception& error) {
    lastMessage = error.what();
    return nullptr;
  }
}

PG_EXPORT int pg_connect(void* handle, const char* host, const char* prefix, int64_t timeout, void* user, StoreSet set, StoreGet get) {
  return guarded(of(handle).get(), [&] { of(handle)->connect(host, prefix, Millis(timeout), user, set, get); });
}

// No other call on this group may be in flight.
PG_EXPORT void pg_free(void* handle) {
  of(handle)->leave();
  delete static_cast<Handle*>(handle);
}

PG_EXPORT void pg_abort(void* handle, const char* reason) {
  try { of(handle)->end(kAborted, -1, reason); } catch (...) { }
}

PG_EXPORT const char* pg_host(void* handle, int rank) {
  auto& hosts = of(handle)->hosts;
  return rank >= 0 && rank < int(hosts.size()) ? hosts[rank].c_str() : "";
}

PG_EXPORT int pg_all_reduce(void* handle, void* data, int64_t count, int type, int op, int algorithm, uint32_t tag, int64_t timeout) {
  auto& group = of(handle);
  return guarded(group.get(), [&] {
    const auto reduce = reduceOf(type, op);
    const size_t width = sizeOf(type), bytes = size_t(count) * width;
    if (count == 0 || group->size == 1) return;
    if (algorithm == kAuto) algorithm = bytes * group->size <= kDirectLimit ? kDirect : kRing;
    if (algorithm == kDirect) {
      char* scratch = scratchOf(bytes * group->size);
      std::vector<size_t> offsets(group->size, 0), sizes(group->size, bytes);
      exchange(group, static_cast<char*>(data), offsets, sizes, scratch, gloo::Slot::build(kDirectSlot, tag), Millis(timeout));
      fold(static_cast<char*>(data), scratch, group->size, count, width, reduce);
      return;
    }
    gloo::AllreduceOptions options(group);
    options.setAlgorithm(algorithm == kBcube ? gloo::AllreduceOptions::Algorithm::BCUBE : gloo::AllreduceOptions::Algorithm::RING);
    options.setReduceFunction(reduce);
    options.setTag(tag);
    options.setTimeout(Millis(timeout));
    switch (width) {
      case 1: options.setOutput(static_cast<uint8_t*>(data), count); break;
      case 2: options.setOutput(static_cast<uint16_t*>(data), count); break;
      case 4: options.setOutput(static_cast<uint32_t*>(data), count); break;
      default: options.setOutput(static_cast<uint64_t*>(data), count); break;
    }
    gloo::allreduce(options);
  });
}

// Segment i of the source (counts[i] elements) is reduced onto rank i; source and destination must not overlap.
PG_EXPORT int pg_reduce_scatter(void* handle, void* source, void* destination, const int64_t* counts, int type, int op, uint32_t tag, int64_t timeout) {
  auto& group = of(handle);
  return guarded(group.get(), [&] {
    const auto reduce = reduceOf(type, op);
    const size_t width = sizeOf(type);
    const int size = group->size, rank = group->rank;
    size_t largest = 0, start = 0, mine = 0;
    for (int i = 0; i < size; i++) largest = std::max(largest, size_t(counts[i]) * width);
    char* scratch = scratchOf(std::min(largest, kPiece) * size);
    for (size_t done = 0; done < largest; done += kPiece) {
      std::vector<size_t> offsets(size), sizes(size);
      start = 0;
      for (int i = 0; i < size; i++) {
        const size_t whole = size_t(counts[i]) * width, from = std::min(done, whole);
        offsets[i] = start + from;
        sizes[i] = std::min(whole - from, kPiece);
        if (i == rank) mine = from;
        start += whole;
      }
      exchange(group, static_cast<char*>(source), offsets, sizes, scratch, gloo::Slot::build(kScatterSlot, tag), Millis(timeout));
      fold(static_cast<char*>(destination) + mine, scratch, size, sizes[rank] / width, width, reduce);
    }
  });
}

// Rank i's segment of `bytes[i]` bytes lands in place in every rank's destination; a source inside the destination is not copied.
PG_EXPORT int pg_all_gather(void* handle, void* source, void* destination, const int64_t* bytes, uint32_t tag, int64_t timeout) {
  auto& group = of(handle);
  return guarded(group.get(), [&] {
    std::vector<size_t> sizes(bytes, bytes + group->size);
    size_t offset = 0, total = 0;
    for (int i = 0; i < group->size; i++) { if (i < group->rank) offset += sizes[i]; total += sizes[i]; }
    if (total == 0) return;
    if (source != static_cast<char*>(destination) + offset) memmove(static_cast<char*>(destination) + offset, source, sizes[group->rank]);
    gloo::AllgathervOptions options(group);
    options.setOutput(static_cast<uint8_t*>(destination), sizes);
    options.setTag(tag);
    options.setTimeout(Millis(timeout));
    gloo::allgatherv(options);
  });
}

PG_EXPORT int pg_broadcast(void* handle, void* data, int64_t bytes, int root, uint32_t tag, int64_t timeout) {
  auto& group = of(handle);
  return guarded(group.get(), [&] {
    if (root < 0 || root >= group->size) throw BadArgument("no rank " + std::to_string(root));
    if (bytes == 0 || group->size == 1) return;
    gloo::BroadcastOptions options(group);
    options.setOutput(static_cast<uint8_t*>(data), bytes);
    options.setRoot(root);
    options.setTag(tag);
    options.setTimeout(Millis(timeout));
    gloo::broadcast(options);
  });
}

PG_EXPORT int pg_send(void* handle, void* data, int64_t bytes, int to, uint32_t tag, int64_t timeout) {
  auto& group = of(handle);
  return guarded(group.get(), [&] {
    if (to < 0 || to >= group->size || to == group->rank) throw BadArgument("cannot send to rank " + std::to_string(to));
    auto buffer = group->createUnboundBuffer(data, bytes);
    buffer->send(to, gloo::Slot::build(kMessageSlot, tag), 0, bytes);
    buffer->waitSend(nullptr, Millis(timeout));
  });
}

PG_EXPORT int pg_receive(void* handle, void* data, int64_t bytes, int from, uint32_t tag, int64_t timeout) {
  auto& group = of(handle);
  return guarded(group.get(), [&] {
    if (from < 0 || from >= group->size || from == group->rank) throw BadArgument("cannot receive from rank " + std::to_string(from));
    auto buffer = group->createUnboundBuffer(data, bytes);
    buffer->recv(from, gloo::Slot::build(kMessageSlot, tag), 0, bytes);
    buffer->waitRecv(nullptr, Millis(timeout));
  });
}

PG_EXPORT int pg_barrier(void* handle, uint32_t tag, int64_t timeout) {
  auto& group = of(handle);
  return guarded(group.get(), [&] {
    if (group->size == 1) return;
    gloo::BarrierOptions options(group);
    options.setTag(tag);
    options.setTimeout(Millis(timeout));
    gloo::barrier(options);
  });
}
