#include "raylet/peers/connection.h"

#include <array>

#include "base/check.h"
#include "base/strings.h"
#include "base/unix_socket.h"

namespace raylet {
namespace {

constexpr size_t kPeerBytesPerRead = size_t{64} << 10;
constexpr int kPeerReadsPerTurn = 1;                      // then the other sockets of the loop have their turn
constexpr size_t kPeerBytesPerWrite = size_t{256} << 10;  // gathered before a write
constexpr int kPeerWritesPerTurn = 4;

}  // namespace

PeerConnection::PeerConnection(Loop& loop, ConnectionId id, UniqueFd fd, const TcpAddress& remote,
                               PeerHandshake handshake, Events& events)
    : loop_(loop),
      id_(id),
      remote_(remote),
      events_(events),
      handshake_(std::move(handshake)),
      fd_(std::move(fd)),
      connecting_(dialed()),
      parser_(kPeerBodyBytesMax),
      flush_soon_(loop, [this] { Flush(); }) {
  watcher_ = FdWatcher(loop_, fd_.get(), [this](FdWatcher::Events ready) { Ready(ready); });
  Watch();
}

PeerConnection::~PeerConnection() {
  *alive_ = false;
  watcher_.Cancel();
}

void PeerConnection::Watch() {
  if (!closed_) watcher_.Watch({!connecting_, connecting_ || out_sent_ < out_.size()});
}

void PeerConnection::Ready(FdWatcher::Events events) {
  const auto alive = alive_;
  if (connecting_) {
    const auto connected = ConnectOutcome(fd_.get(), remote_);
    if (!connected) {
      refused_by_machine_ = connected.error().code == ErrorCode::kNotRunning;
      return Close(connected.error());
    }
    connecting_ = false;
    Advance();
    Watch();
    return;
  }
  if (events.writable) Flush();
  if (*alive && events.readable && !closed_) Read();
}

void PeerConnection::Read() { open_ ? ReadFrames() : ReadHandshake(); }

// Reads what the handshake wants and not a byte more.
void PeerConnection::ReadHandshake() {
  std::array<std::byte, kHandshakeBytesMax> buffer;
  std::vector<UniqueFd> no_fds;
  for (;;) {
    const size_t wanted = std::min(handshake_.Wanted(), buffer.size());
    if (closed_ || open_ || wanted == 0) break;
    const auto received = ReceiveSome(fd_.get(), std::span(buffer).first(wanted), no_fds);
    if (!received) return Close(received.error());
    if (received->would_block) break;
    if (received->bytes == 0) {
      return Close({ErrorCode::kDisconnected, handshake_.said_nothing() && !dialed()
                                                  ? "it closed the connection without a word"
                                                  : "it closed the connection before the greeting was over"});
    }
    bytes_received_ += received->bytes;
    handshake_.Feed(std::span(buffer).first(received->bytes));
    Advance();
  }
  if (open_ && !closed_ && handshake_.role() == wire::PeerRole::Session) ReadFrames();
}

void PeerConnection::Advance() {
  if (closed_ || connecting_) return;
  if (handshake_.state() == PeerHandshake::State::kProven) events_.OnProven(*this);
  if (closed_) return;
  const Bytes said = handshake_.TakeOutput();
  out_.insert(out_.end(), said.begin(), said.end());
  if (handshake_.state() == PeerHandshake::State::kFailed) {
    Flush();  // sends the reason, which the other side may still read
    return Close(handshake_.failure());
  }
  if (handshake_.state() == PeerHandshake::State::kOpen && !open_ && handshake_.role() == wire::PeerRole::Session) {
    open_ = true;
    events_.OnOpen(*this);
    if (closed_) return;
  }
  Flush();
}

void PeerConnection::Accept(const wire::PeerAcceptedT& accepted) { handshake_.Accept(accepted); }

void PeerConnection::Refuse(wire::RefusalKind kind, const Error& why) { handshake_.Refuse(kind, why); }

void PeerConnection::ReadFrames() {
  std::array<std::byte, kPeerBytesPerRead> buffer;
  std::vector<UniqueFd> no_fds;
  for (int i = 0; i < kPeerReadsPerTurn && !closed_; ++i) {
    const auto received = ReceiveSome(fd_.get(), buffer, no_fds);
    if (!received) return Close(received.error());
    if (received->would_block) return;
    if (received->bytes == 0) return Close({ErrorCode::kDisconnected, "it closed the connection"});
    bytes_received_ += received->bytes;
    events_.OnBytes(*this);
    parser_.Feed(std::span(buffer).first(received->bytes));
    while (!closed_) {
      const auto frame = parser_.Next();
      if (!frame) return Close(frame.error());
      if (!frame->has_value()) break;
      events_.OnFrame(*this, **frame);
    }
    if (received->bytes < buffer.size()) return;  // all bytes are read; later ones wake us
  }
}

void PeerConnection::WantsToWrite() {
  if (closed_ || !open_ || out_sent_ < out_.size()) return;
  flush_soon_.Ask();
}

void PeerConnection::Flush() {
  if (closed_ || connecting_) return;
  const bool session = open_ && handshake_.role() == wire::PeerRole::Session;
  bool more = true;
  for (int i = 0; i < kPeerWritesPerTurn && more; ++i) {
    if (out_sent_ == out_.size()) {
      out_.clear();
      out_sent_ = 0;
      if (session) events_.Fill(*this, out_, kPeerBytesPerWrite);
      if (closed_) return;
    }
    if (out_.empty()) {
      more = false;
      break;
    }
    const auto sent = SendSome(fd_.get(), std::span(out_).subspan(out_sent_), {});
    if (!sent) return Close(sent.error());
    bytes_sent_ += *sent;
    out_sent_ += *sent;
    more = out_sent_ == out_.size();
  }
  if (out_sent_ == out_.size()) {
    out_.clear();
    out_sent_ = 0;
    // A long queue goes on after the others' turn.
    if (more && session) {
      loop_.Post([this, alive = alive_] {
        if (*alive) WantsToWrite();
      });
    }
  }
  // A bulk connection is handed over once nothing of ours is left to send.
  if (!open_ && out_sent_ == out_.size() && handshake_.state() == PeerHandshake::State::kOpen) {
    open_ = true;
    events_.OnOpen(*this);
    if (closed_) return;
  }
  Watch();
}

void PeerConnection::DidNotListen(Duration time, TimePoint now) {
  handshake_.DidNotListen(time, now);
  if (connect_until_ != TimePoint::max()) connect_until_ = std::min(connect_until_ + time, handshake_.deadline());
}

void PeerConnection::Tick(TimePoint now) {
  if (closed_ || handshake_.state() == PeerHandshake::State::kOpen) return;
  handshake_.Tick(now);
  if (connecting_ && now >= connect_until_) {
    return Close(
        {ErrorCode::kTimedOut, StrCat("nothing answers at ", remote_.text(), ", or not soon enough: its machine ",
                                      "is off, or the network does not reach it")});
  }
  if (handshake_.state() != PeerHandshake::State::kFailed) return;
  if (!connecting_) return Close(handshake_.failure());
  Close({ErrorCode::kTimedOut, StrCat("nothing answers at ", remote_.text(), " within ", kHandshakeTimeout.count(),
                                      " s: its machine is off, or the network does not reach it")});
}

void PeerConnection::Close(Error reason) {
  if (closed_) return;
  closed_ = true;
  watcher_.Cancel();
  fd_.Reset();
  out_.clear();
  out_sent_ = 0;
  loop_.Post([this, alive = alive_, why = std::move(reason)] {
    if (*alive) events_.OnClosed(*this, why);
  });
}

UniqueFd PeerConnection::TakeFd() {
  RAYLET_CHECK(open_ && !closed_, "connection ", id_, " has no descriptor to give");
  watcher_.Cancel();
  UniqueFd fd = std::move(fd_);
  Close({ErrorCode::kDisconnected, "its descriptor was handed over"});
  return fd;
}

}  // namespace raylet
