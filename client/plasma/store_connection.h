// StoreConnection: the socket to plasma_store: requests and their replies, several at a time. Owned by a
// StoreSession; any thread. The first waiting thread reads the socket for all of them, so a Create that
// waits for room does not hold up the Delete that would make it.
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/awake_clock.h"
#include "base/frame_connection.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/strings.h"
#include "base/unique_fd.h"
#include "client/plasma/fork_guard.h"
#include "client/plasma/reconnection.h"
#include "fbs/messages.h"

namespace raylet::client {

class StoreConnection {
 public:
  // `patience`: with a daemon that takes or answers nothing.
  StoreConnection(FrameConnection connection, std::string socket, Duration patience);
  // From here on this connection survives the death of the store's server: requests are sent again to the next one.
  void SetKnown(const KnownClient& client) { known_ = client; }

  // Sends a request and waits for its reply, which must be of type Reply. kTimedOut: no reply came within `patience`.
  // kDisconnected: the daemon has gone, or End was called.
  template <class Reply, class Request>
  Result<Reply> Call(wire::StoreMessage type, const Request& request, wire::StoreMessage reply_type,
                     Duration patience) {
    return CallForDescriptors<Reply>(type, request, reply_type, patience, nullptr);
  }
  // The same for a reply that may come with descriptors.
  template <class Reply, class Request>
  Result<Reply> CallForDescriptors(wire::StoreMessage type, const Request& request, wire::StoreMessage reply_type,
                                   Duration patience, std::vector<UniqueFd>* descriptors) {
    const auto frame = Exchange(type, Encode(request), reply_type, patience, descriptors);
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
    return Tell(type, request, AwakeDeadline(patience_));
  }
  template <class Request>
  Result<void> Tell(wire::StoreMessage type, const Request& request, const AwakeDeadline& deadline) {
    return Send(type, 0, Encode(request), deadline, Sender::kAny);
  }
  // True when the store has taken all that was told. It does not wait.
  Result<bool> Flush();
  // As Tell, and also after End: for the clean-up.
  template <class Request>
  Result<void> TellFinally(wire::StoreMessage type, const Request& request, const AwakeDeadline& deadline) {
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
  // Looks at the socket now. True until Restore has found another server.
  bool PeerGone();
  // Connects to the server that has taken the place of one that died. kTimedOut: no server answers yet. kDisconnected,
  // from then on: the store is gone for good. Other threads' requests go on, too.
  Result<void> Restore(const AwakeDeadline& deadline);
  // Grows with each Restore, so that a caller sees whether there was one.
  uint64_t restored() const { return restored_.load(std::memory_order_acquire); }
  // While an object's seal is not answered, the next server is asked to do it.
  void BeginSeal(const ObjectId& id);
  void EndSeal(const ObjectId& id);
  tl::unexpected<Error> Closed() const;    // kDisconnected: why this connection is not usable
  tl::unexpected<Error> Gone() const;      // kDisconnected, naming the socket
  tl::unexpected<Error> NoAnswer() const;  // kTimedOut
  // Messages that the socket has taken, in whole or in part, since the Hello.
  uint64_t frames_sent() const { return frames_sent_.load(std::memory_order_acquire); }
  const ForkGuard& fork_guard() const { return fork_guard_; }
  uint64_t bytes_sent() const {
    const MutexLock lock(mutex_);
    return sent_before_ + connection_.bytes_sent();
  }
  uint64_t bytes_received() const {
    const MutexLock lock(mutex_);
    return received_before_ + connection_.bytes_received();
  }

 private:
  struct Waiting {
    std::optional<Frame> reply;
    std::vector<UniqueFd> descriptors;
    uint64_t restored = 0;  // of the connection that it was sent over
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
  bool TakeRoles(const AwakeDeadline& deadline);
  void GiveRolesBack();
  Result<void> RestoreAlone(Deadline deadline);
  Result<void> Exchange(wire::StoreMessage type, const Bytes& body, const AwakeDeadline& deadline, Waiting& waiting);
  Result<Frame> Exchange(wire::StoreMessage type, const Bytes& body, wire::StoreMessage reply_type, Duration patience,
                         std::vector<UniqueFd>* descriptors);
  std::vector<UniqueFd> TakeDescriptors(const Frame& reply);  // by the thread that reads for all
  // `restored` gets the number of the connection that was used.
  Result<void> Send(wire::StoreMessage type, uint64_t request_id, const Bytes& body, const AwakeDeadline& deadline,
                    Sender sender, uint64_t* restored = nullptr);
  Result<void> SendAlone(wire::StoreMessage type, uint64_t request_id, const Bytes& body, const AwakeDeadline& deadline,
                         Sender sender);
  tl::unexpected<Error> NotTaken() const;
  Result<void> AwaitReply(const Waiting& waiting, const AwakeDeadline& deadline) RAYLET_EXCLUDES(mutex_);
  Result<std::optional<Frame>> ReadOne(Deadline deadline);  // by the thread that reads for all

  const std::string socket_;
  const Duration patience_;
  const ForkGuard fork_guard_;
  FrameConnection connection_;
  ClosedInChildren closed_in_children_;  // after connection_: forgets the descriptor before it is closed
  std::optional<KnownClient> known_;
  std::atomic<uint64_t> frames_sent_{0};
  std::atomic<bool> broken_{false};
  std::atomic<bool> lost_{false};  // no server will take the place of the last one
  std::atomic<uint64_t> restored_{0};
  std::atomic<bool> ended_{false};
  std::atomic<int64_t> next_look_ms_{0};  // in coarse time; 0 for ever once broken or ended

  Mutex send_mutex_;
  ConditionVariable sender_left_;
  bool somebody_sends_ RAYLET_GUARDED_BY(send_mutex_) = false;
  SentRequests sent_;                        // of the thread that sends
  std::vector<FrameConnection> unanswered_;  // of the thread that restores (ConnectAgain)
  mutable Mutex mutex_;
  ConditionVariable changed_;
  bool somebody_reads_ RAYLET_GUARDED_BY(mutex_) = false;
  bool somebody_restores_ RAYLET_GUARDED_BY(mutex_) = false;
  uint64_t sent_before_ RAYLET_GUARDED_BY(mutex_) = 0, received_before_ RAYLET_GUARDED_BY(mutex_) = 0;
  std::unordered_multiset<ObjectId> seals_ RAYLET_GUARDED_BY(mutex_);
  uint64_t last_request_ RAYLET_GUARDED_BY(mutex_) = 0;
  std::unordered_map<uint64_t, Waiting*> waiting_ RAYLET_GUARDED_BY(mutex_);  // and what they point to
};

}  // namespace raylet::client
