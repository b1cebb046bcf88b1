#include "client/plasma/store_connection.h"

#include <unistd.h>

#include <utility>

#include "base/process_start.h"
#include "base/unix_socket.h"
#include "base/waiter.h"

namespace raylet::client {

namespace {

constexpr size_t kHelloFds = 4;
// The kernel takes a message up to this size whole or not at all, so that giving up leaves no half of it behind.
constexpr size_t kWholeMessageBytesMax = size_t{64} << 10;
constexpr Duration kWaitSlice = std::chrono::milliseconds(100);  // between two looks at whether End was called
constexpr int64_t kLookPeriodMs = 500;
// How long a reader looks at the socket again and again before it sleeps: waking up costs more than
// most replies take.
constexpr Duration kReplySpin = std::chrono::microseconds(40);

Result<Frame> Hello(FrameConnection& connection, const std::string& name, uint32_t heir, Deadline deadline) {
  wire::StoreHelloT hello;
  hello.magic = kStoreMagic;
  hello.version_min = kStoreProtocolMin;
  hello.version_max = kStoreProtocolMax;
  hello.build = kBuild;
  hello.pid = ::getpid();
  hello.name = name;
  hello.heir = heir;
  auto frame = connection.Greet(static_cast<uint16_t>(wire::StoreMessage::Hello), 1, Encode(hello), deadline);
  if (frame && static_cast<wire::StoreMessage>(frame->header.type) != wire::StoreMessage::HelloReply)
    return Fail(ErrorCode::kProtocolError, StrCat("Hello was answered by a message of type ", frame->header.type));
  return frame;
}

}  // namespace

Result<FrameConnection> ConnectToStore(const std::string& socket, const std::string& name, Deadline deadline,
                                       bool retry, uint32_t heir, StoreWelcome& welcome) {
  const auto failed = [&](const Error& error) {
    return Fail(error.code, StrCat("cannot connect to the store at ", socket, ": ", error.message));
  };
  OpenStandardDescriptors();
  auto connection = FrameConnection::Connect(socket, deadline, retry);
  if (!connection) {
    if (connection.error().code == ErrorCode::kNotRunning)
      return Fail(ErrorCode::kNotRunning,
                  StrCat("no plasma_store serves ", socket, ": start one with plasma_store -m 1G -s ", socket));
    return failed(connection.error());
  }
  const auto frame = Hello(*connection, name, heir, deadline);
  if (!frame) return failed(frame.error());
  const auto reply = Parse<wire::StoreHelloReplyT>(frame->body);
  if (!reply) return failed(reply.error());
  if (const auto status = FromStatus(*reply->status); !status) return failed(status.error());

  std::vector<UniqueFd>& fds = connection->fds();
  if (reply->version < kStoreProtocolMin || reply->version > kStoreProtocolMax || reply->client == 0 ||
      fds.size() != kHelloFds) {
    return failed(
        {ErrorCode::kProtocolError, StrCat("it says version ", reply->version, ", client ", reply->client,
                                           " and sends ", fds.size(), " descriptors instead of ", kHelloFds)});
  }
  welcome.client = reply->client;
  welcome.arena_bytes = reply->arena_bytes;
  welcome.capacity_bytes = reply->capacity_bytes;
  welcome.arena_read_only = std::move(fds[0]);
  welcome.arena_read_write = std::move(fds[1]);
  welcome.index = std::move(fds[2]);
  welcome.pins = std::move(fds[3]);
  fds.clear();
  return connection;
}

StoreConnection::StoreConnection(FrameConnection connection, std::string socket, Duration patience)
    : socket_(std::move(socket)),
      patience_(patience),
      connection_(std::move(connection)),
      closed_in_children_(connection_.fd()) {}

tl::unexpected<Error> StoreConnection::Gone() const {
  return Fail(
      ErrorCode::kDisconnected,
      StrCat("the store at ", socket_, " is gone: see why plasma_store ended, start it again and connect anew"));
}

tl::unexpected<Error> StoreConnection::Closed() const {
  if (!ended()) return Gone();
  return Fail(ErrorCode::kDisconnected,
              StrCat("this client was disconnected from the store at ", socket_, ": connect anew"));
}

tl::unexpected<Error> StoreConnection::NotTaken() const {
  return Fail(ErrorCode::kTimedOut, StrCat("the store at ", socket_, " did not read in time: is it stopped?"));
}

void StoreConnection::End() {
  ended_.store(true, std::memory_order_release);  // with the acquire in ended()
  next_look_ms_.store(0, std::memory_order_relaxed);
  {
    const MutexLock lock(mutex_);  // a thread that read the flag before waits already
    changed_.NotifyAll();
  }
  const MutexLock lock(send_mutex_);
  sender_left_.NotifyAll();
}

void StoreConnection::Break() {
  broken_.store(true, std::memory_order_release);  // with the acquire in broken()
  next_look_ms_.store(0, std::memory_order_relaxed);
}

bool StoreConnection::Look() {
  int64_t due = next_look_ms_.load(std::memory_order_relaxed);
  if (ended() || broken()) return false;
  // Not over a zero of End or Break; one look is enough for all threads.
  next_look_ms_.compare_exchange_strong(due, CoarseNowMs() + kLookPeriodMs, std::memory_order_relaxed);
  return !PeerGone() && !ended();
}

bool StoreConnection::PeerGone() {
  if (broken()) return true;
  if (!connection_.PeerGone()) return false;
  Break();
  return true;
}

Result<void> StoreConnection::Send(wire::StoreMessage type, uint64_t request_id, const Bytes& body, Deadline deadline,
                                   Sender sender) {
  if (fork_guard_.InChild()) return ForkGuard::Refuse(socket_);
  {
    MutexLock lock(send_mutex_);
    while (somebody_sends_) {
      if (sender == Sender::kAny && ended()) return Closed();
      if (deadline.Passed()) return NotTaken();
      sender_left_.Wait(send_mutex_, deadline);
    }
    somebody_sends_ = true;
  }
  auto sent = SendAlone(type, request_id, body, deadline, sender);
  {
    const MutexLock lock(send_mutex_);
    somebody_sends_ = false;
  }
  sender_left_.NotifyOne();
  return sent;
}

// By the one thread that sends.
Result<void> StoreConnection::SendAlone(wire::StoreMessage type, uint64_t request_id, const Bytes& body,
                                        Deadline deadline, Sender sender) {
  const bool whole = body.size() <= kWholeMessageBytesMax;
  for (;;) {
    if (sender == Sender::kAny && ended()) return Closed();
    if (broken()) return Gone();
    const auto sent =
        connection_.Send(static_cast<uint16_t>(type), request_id, body, whole ? Deadline::AfterMs(0) : deadline);
    if (sent) return {};
    const bool refused = sent.error().code == ErrorCode::kTimedOut;
    if (refused && !connection_.PeerGone()) {  // the kernel took nothing of it
      if (deadline.Passed()) return NotTaken();
      // Its failure comes again, from the next attempt to send.
      static_cast<void>(WaitWritable(connection_.fd(), Deadline::After(deadline.Left(kWaitSlice))));
      continue;
    }
    Break();  // a frame may be half sent
    if (refused || sent.error().code == ErrorCode::kDisconnected || sent.error().code == ErrorCode::kIo) return Gone();
    return Fail(sent.error().code, StrCat("the store at ", socket_, ": ", sent.error().message));
  }
}

Result<Frame> StoreConnection::Exchange(wire::StoreMessage type, const Bytes& body, wire::StoreMessage reply_type,
                                        Duration patience) {
  if (fork_guard_.InChild()) return ForkGuard::Refuse(socket_);  // before any lock
  const Deadline deadline = Deadline::After(patience);
  Waiting waiting;
  uint64_t request = 0;
  {
    const MutexLock lock(mutex_);
    request = ++last_request_;
    waiting_.emplace(request, &waiting);
  }
  Result<void> outcome = Send(type, request, body, deadline, Sender::kAny);
  if (outcome) outcome = AwaitReply(waiting, deadline);
  {
    const MutexLock lock(mutex_);
    waiting_.erase(request);
  }
  if (!outcome) return Fail(std::move(outcome).error());
  if (static_cast<wire::StoreMessage>(waiting.reply->header.type) != reply_type)
    return Fail(ErrorCode::kProtocolError,
                StrCat("the store at ", socket_, " answered ", wire::EnumNameStoreMessage(type),
                       " by a message of type ", waiting.reply->header.type));
  return *std::move(waiting.reply);
}

Result<void> StoreConnection::AwaitReply(const Waiting& waiting, Deadline deadline) {
  MutexLock lock(mutex_);
  bool looked = false;  // a deadline in the past allows one look, too
  while (!waiting.reply) {
    const bool late = looked && deadline.Passed();
    if (late || ended()) {
      if (!somebody_reads_) changed_.NotifyAll();  // another thread becomes the reader
      if (!late) return Closed();
      return Fail(ErrorCode::kTimedOut, StrCat("the store at ", socket_, " did not answer in time: is it stopped?"));
    }
    looked = true;
    if (somebody_reads_) {
      // The reading thread hands us our reply, or the role of the reader.
      changed_.Wait(mutex_, deadline);
      continue;
    }
    somebody_reads_ = true;
    lock.Unlock();
    auto frame = ReadOne(Deadline::After(deadline.Left(kWaitSlice)));
    lock.Lock();
    somebody_reads_ = false;
    if (frame && frame->has_value()) {
      // A reply that nobody waits for any more came after its deadline.
      if (const auto it = waiting_.find((*frame)->header.request_id); it != waiting_.end())
        it->second->reply = **std::move(frame);
    }
    if (frame && !frame->has_value()) continue;
    if (!frame) Break();
    changed_.NotifyAll();
    if (!frame) {
      const Error& error = frame.error();
      if (error.code == ErrorCode::kDisconnected || error.code == ErrorCode::kIo) return Gone();
      return Fail(error.code, StrCat("the store at ", socket_, ": ", error.message));
    }
  }
  return {};
}

Result<std::optional<Frame>> StoreConnection::ReadOne(Deadline deadline) {
  if (broken()) return Gone();
  Result<std::optional<Frame>> frame;
  const auto arrived = [&] {
    frame = connection_.Receive(Deadline::AfterMs(0));
    return !frame || frame->has_value();
  };
  if (SpinUntil(Deadline::After(deadline.Left(kReplySpin)).at(), arrived, /*looks_per_yield=*/1)) return frame;
  return connection_.Receive(deadline);
}

}  // namespace raylet::client
