// StoreConnection: the socket to plasma_store: requests and their replies, several at a time. Owned by a
// StoreSession; any thread. The first waiting thread reads the socket for all of them, so a Create that
// waits for room does not hold up the Delete that would make it.
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/frame_connection.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/strings.h"
#include "base/unique_fd.h"
#include "client/plasma/fork_guard.h"
#include "fbs/messages.h"

namespace raylet::client {

// The daemon's answer to a new client.
struct StoreWelcome {
  uint32_t client = 0;
  uint64_t arena_bytes = 0;
  uint64_t capacity_bytes = 0;
  UniqueFd arena_read_only;
  UniqueFd arena_read_write;
  UniqueFd index;
  UniqueFd pins;
};

// Connects and says hello. kNotRunning names the command that starts a daemon. `heir` is a client's
// number; 0: none.
Result<FrameConnection> ConnectToStore(const std::string& socket, const std::string& name, Deadline deadline,
                                       bool retry, uint32_t heir, StoreWelcome& welcome);

class StoreConnection {
 public:
  // `patience`: with a daemon that takes or answers nothing.
  StoreConnection(FrameConnection connection, std::string socket, Duration patience);

  // Sends a request and waits for its reply, which must be of type Reply. kTimedOut when it could not be sent and
  // answered within `patience`, kDisconnected once the daemon has gone or End was called.
  template <class Reply, class Request>
  Result<Reply> Call(wire::StoreMessage type, const Request& request, wire::StoreMessage reply_type,
                     Duration patience) {
    const auto frame = Exchange(type, Encode(request), reply_type, patience);
    if (!frame) return Fail(frame.error());
    auto reply = Parse<Reply>(frame->body);
    if (!reply) return Fail(ErrorCode::kProtocolError, StrCat("the store at ", socket_, ": ", reply.error().message));
    return reply;
  }
  // For requests that are answered by a StatusReply.
  template <class Request>
  Result<void> Ask(wire::StoreMessage type, const Request& request, Duration patience) {
    const auto reply = Call<wire::StatusReplyT>(type, request, wire::StoreMessage::StatusReply, patience);
    if (!reply) return Fail(reply.error());
    return FromStatus(*reply->status);
  }
  // Sends a request that wants no reply.
  template <class Request>
  Result<void> Tell(wire::StoreMessage type, const Request& request) {
    return Send(type, 0, Encode(request), Deadline::After(patience_), Sender::kAny);
  }
  // As Tell, and also after End: for the clean-up.
  template <class Request>
  Result<void> TellFinally(wire::StoreMessage type, const Request& request, Deadline deadline) {
    return Send(type, 0, Encode(request), deadline, Sender::kCleanUp);
  }

  const std::string& socket() const { return socket_; }
  Duration patience() const { return patience_; }
  // Ends every wait of other threads, soon, and refuses what comes later. The socket closes with this object.
  void End();
  bool ended() const { return ended_.load(std::memory_order_acquire); }  // with the release in End
  // False once the daemon has gone or End was called. Looks at the socket at most twice a second, so it may say true
  // for half a second too long. Otherwise it only reads a coarse clock, without a system call.
  bool Usable() {
    if (CoarseNowMs() < next_look_ms_.load(std::memory_order_relaxed)) [[likely]]
      return true;
    return Look();
  }
  // Looks at the socket now; once true, always true.
  bool PeerGone();
  tl::unexpected<Error> Closed() const;  // kDisconnected: why this connection is not usable
  tl::unexpected<Error> Gone() const;    // kDisconnected, naming the socket
  const ForkGuard& fork_guard() const { return fork_guard_; }
  uint64_t bytes_sent() const { return connection_.bytes_sent(); }
  uint64_t bytes_received() const { return connection_.bytes_received(); }

 private:
  struct Waiting {
    std::optional<Frame> reply;
  };
  enum class Sender { kAny, kCleanUp };  // a clean-up may send after End

  static int64_t CoarseNowMs() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
  }
  bool Look();
  bool broken() const { return broken_.load(std::memory_order_acquire); }  // with the release in Break
  void Break();
  Result<Frame> Exchange(wire::StoreMessage type, const Bytes& body, wire::StoreMessage reply_type, Duration patience);
  Result<void> Send(wire::StoreMessage type, uint64_t request_id, const Bytes& body, Deadline deadline, Sender sender);
  Result<void> SendAlone(wire::StoreMessage type, uint64_t request_id, const Bytes& body, Deadline deadline,
                         Sender sender);
  tl::unexpected<Error> NotTaken() const;
  Result<void> AwaitReply(const Waiting& waiting, Deadline deadline) RAYLET_EXCLUDES(mutex_);
  Result<std::optional<Frame>> ReadOne(Deadline deadline);  // by the thread that reads for all

  const std::string socket_;
  const Duration patience_;
  const ForkGuard fork_guard_;
  FrameConnection connection_;
  ClosedInChildren closed_in_children_;  // after connection_: forgets the descriptor before it is closed
  std::atomic<bool> broken_{false};
  std::atomic<bool> ended_{false};
  std::atomic<int64_t> next_look_ms_{0};  // in coarse time; 0 for ever once broken or ended

  Mutex send_mutex_;
  ConditionVariable sender_left_;
  bool somebody_sends_ RAYLET_GUARDED_BY(send_mutex_) = false;
  Mutex mutex_;
  ConditionVariable changed_;
  bool somebody_reads_ RAYLET_GUARDED_BY(mutex_) = false;
  uint64_t last_request_ RAYLET_GUARDED_BY(mutex_) = 0;
  std::unordered_map<uint64_t, Waiting*> waiting_ RAYLET_GUARDED_BY(mutex_);  // and what they point to
};

}  // namespace raylet::client
