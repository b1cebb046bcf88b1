#include "base/framed_socket.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "base/unix_socket.h"

namespace raylet {
namespace {

constexpr size_t kBytesPerRead = size_t{64} << 10;
constexpr size_t kMergeBytesMax = size_t{64} << 10;    // small frames that wait are sent together
constexpr size_t kSendAtOnceBytes = size_t{32} << 10;  // a queue of this size is sent at once

// Bytes that wait to be sent. The descriptors go with the first byte.
struct Chunk {
  std::vector<std::byte> bytes;
  size_t sent = 0;
  std::vector<UniqueFd> fds;

  std::span<const std::byte> left() const { return std::span(bytes).subspan(sent); }
};

}  // namespace

void SendRefusal(int fd, uint16_t type, std::span<const std::byte> body) {
  std::vector<std::byte> frame;
  AppendFrame(frame, type, /*request_id=*/0, body);
  static_cast<void>(SendSome(fd, frame, {}));
}

struct FramedSocket::State : std::enable_shared_from_this<FramedSocket::State> {
  State(Loop& on, UniqueFd socket, FramedSocketLimits bounds, Handler& with)
      : loop(on),
        limits(bounds),
        handler(&with),
        fd(std::move(socket)),
        parser(bounds.body_bytes_max),
        flush_soon(on, [this] { FlushSoon(); }) {}

  Loop& loop;
  const FramedSocketLimits limits;
  Handler* handler;  // null once the socket is destroyed or OnClosed was called
  UniqueFd fd;
  FdWatcher watcher;  // after fd: stops before it closes
  FrameParser parser;
  std::vector<UniqueFd> received_fds;
  std::deque<Chunk> queue;
  size_t queued_bytes = 0;  // sum of the bytes left in queue
  bool behind = false;      // as last told to the handler
  bool full = false;        // the kernel takes no more: the watcher says when it does
  bool reads = true;        // otherwise no frame is given to the handler
  bool closed = false;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  EndOfTurn flush_soon;

  void Ready(FdWatcher::Events events);
  void Read();
  void DispatchFrames();
  void Send(std::vector<std::byte> bytes, std::span<const int> fds);
  void Enqueue(std::vector<std::byte> bytes, std::span<const int> fds);
  Result<void> Flush();
  void Close(Error reason);
  void DropAll();
  void FlushAndWatch();
  void FlushSoon();
  void TellWhetherBehind();
};

void FramedSocket::State::Ready(FdWatcher::Events events) {
  const auto self = shared_from_this();  // a callback may destroy the socket
  if (events.writable && !closed) FlushAndWatch();
  if (events.readable && !closed && reads) Read();
  if (!events.readable || closed || reads) return;
  // It was not watched for this: the connection is broken, and a write reports the error.
  FlushAndWatch();
  if (!closed) watcher.Watch({reads, full});
}

void FramedSocket::State::Read() {
  std::array<std::byte, kBytesPerRead> buffer;
  for (int i = 0; i < limits.reads_per_turn && !closed && reads; ++i) {
    const auto room = std::span(buffer).first(std::min(buffer.size(), limits.bytes_per_read));
    const auto received = ReceiveSome(fd.get(), room, received_fds);
    if (!received) return Close(received.error());
    if (received->would_block) return;
    if (received->bytes == 0) return Close({ErrorCode::kDisconnected, "the other side has closed the connection"});
    bytes_received += received->bytes;
    parser.Feed(std::span(buffer).first(received->bytes));
    DispatchFrames();
    // Only now: the handlers of the frames above may have taken their descriptors.
    if (!closed && received_fds.size() > limits.received_fds_max) {
      return Close(
          {ErrorCode::kProtocolError, StrCat(received_fds.size(), " descriptors came that no message asked for; ",
                                             limits.received_fds_max, " may wait")});
    }
    if (received->bytes < room.size()) return;  // read to the end, or up to a descriptor: the rest wakes us again
  }
}

void FramedSocket::State::DispatchFrames() {
  while (!closed && reads) {
    const auto frame = parser.Next();
    if (!frame) return Close(frame.error());
    if (!frame->has_value()) return;
    handler->OnFrame(**frame, received_fds);
  }
}

// The frames of one turn of the loop leave in one write at its end, or sooner once they are many.
void FramedSocket::State::Send(std::vector<std::byte> bytes, std::span<const int> fds) {
  Enqueue(std::move(bytes), fds);
  if (closed) return;
  if (!full && queued_bytes >= kSendAtOnceBytes) FlushAndWatch();
  if (closed) return;
  TellWhetherBehind();
  if (queued_bytes > limits.queued_bytes_max) {
    return Close(
        {ErrorCode::kSlowConsumer, StrCat("the other side does not read: ", FormatBytes(queued_bytes),
                                          " wait for it and the limit is ", FormatBytes(limits.queued_bytes_max))});
  }
  if (!full && !queue.empty()) flush_soon.Ask();
}

void FramedSocket::State::FlushSoon() {
  const auto self = shared_from_this();  // a callback may destroy the socket
  if (!closed && !full) FlushAndWatch();
}

void FramedSocket::State::FlushAndWatch() {
  const auto flushed = Flush();
  if (!flushed) return Close(flushed.error());
  const bool was_full = std::exchange(full, !queue.empty());
  if (was_full != full) watcher.Watch({reads, full});
  TellWhetherBehind();
}

void FramedSocket::State::TellWhetherBehind() {
  const bool now = queued_bytes > (behind ? limits.caught_up_bytes : limits.behind_bytes);
  if (now == behind) return;
  behind = now;
  if (handler != nullptr) handler->OnBehind(now);
}

void FramedSocket::State::Enqueue(std::vector<std::byte> bytes, std::span<const int> fds) {
  Chunk chunk;
  for (const int to_duplicate : fds) {
    UniqueFd duplicate(::fcntl(to_duplicate, F_DUPFD_CLOEXEC, 0));
    if (!duplicate) {
      return Close({ErrorCode::kFull, StrCat("cannot keep a descriptor to send (", std::strerror(errno),
                                             "): raise the limit with ulimit -n")});
    }
    chunk.fds.push_back(std::move(duplicate));
  }
  queued_bytes += bytes.size();
  if (chunk.fds.empty() && !queue.empty() && queue.back().bytes.size() + bytes.size() <= kMergeBytesMax) {
    queue.back().bytes.insert(queue.back().bytes.end(), bytes.begin(), bytes.end());
    return;
  }
  chunk.bytes = std::move(bytes);
  queue.push_back(std::move(chunk));
}

Result<void> FramedSocket::State::Flush() {
  while (!queue.empty()) {
    Chunk& chunk = queue.front();
    std::array<int, kFdsPerMessageMax> fds{};
    std::transform(chunk.fds.begin(), chunk.fds.end(), fds.begin(), [](const UniqueFd& each) { return each.get(); });
    const auto sent = SendSome(fd.get(), chunk.left(), std::span(fds).first(chunk.fds.size()));
    if (!sent) return Fail(sent.error());
    if (*sent == 0) return {};
    bytes_sent += *sent;
    queued_bytes -= *sent;
    chunk.sent += *sent;
    chunk.fds.clear();
    if (chunk.left().empty()) queue.pop_front();
  }
  return {};
}

void FramedSocket::State::Close(Error reason) {
  if (closed) return;
  closed = true;
  if (handler != nullptr) handler->OnClosing(reason);
  (void)Flush();  // a last message, such as the reason
  DropAll();
  loop.Post([self = shared_from_this(), why = std::move(reason)] {
    if (Handler* const told = std::exchange(self->handler, nullptr)) told->OnClosed(why);
  });
}

void FramedSocket::State::DropAll() {
  watcher.Cancel();
  fd.Reset();
  queue.clear();
  queued_bytes = 0;
}

FramedSocket::FramedSocket(Loop& loop, UniqueFd fd, FramedSocketLimits limits, Handler& handler)
    : state_(std::make_shared<State>(loop, std::move(fd), limits, handler)) {
  // The state owns the watcher, so the watcher's callback never outlives the state.
  state_->watcher =
      FdWatcher(loop, state_->fd.get(), [state = state_.get()](FdWatcher::Events events) { state->Ready(events); });
  state_->watcher.Watch({true, false});
}

FramedSocket::~FramedSocket() {
  state_->handler = nullptr;
  if (!state_->closed) (void)state_->Flush();  // frames queued in this turn
  state_->closed = true;
  state_->DropAll();
}

void FramedSocket::Send(uint16_t type, uint64_t request_id, std::span<const std::byte> body, std::span<const int> fds) {
  RAYLET_CHECK(fds.size() <= kFdsPerMessageMax, fds.size(), " descriptors in one frame");
  if (state_->closed) return;
  std::vector<std::byte> bytes;
  bytes.reserve(sizeof(FrameHeader) + body.size());
  AppendFrame(bytes, type, request_id, body);
  state_->Send(std::move(bytes), fds);
}

void FramedSocket::SetReading(bool reads) {
  if (state_->closed || std::exchange(state_->reads, reads) == reads) return;
  state_->watcher.Watch({reads, state_->full});
  if (!reads) return;
  // The frames that were read already.
  state_->loop.AtEndOfTurn([state = state_] {
    if (!state->closed && state->handler != nullptr) state->DispatchFrames();
  });
}

void FramedSocket::Close(Error reason) { state_->Close(std::move(reason)); }

bool FramedSocket::closed() const { return state_->closed; }

int FramedSocket::fd() const { return state_->fd.get(); }

size_t FramedSocket::queued_bytes() const { return state_->queued_bytes; }

uint64_t FramedSocket::bytes_sent() const { return state_->bytes_sent; }

uint64_t FramedSocket::bytes_received() const { return state_->bytes_received; }

}  // namespace raylet
