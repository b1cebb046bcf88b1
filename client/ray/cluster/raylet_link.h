// RayletLink: this process's registration with its raylet: the socket, the io thread that reads it, and the doorbell on
// which this process's threads park. It also says whether the runtime can still be used: once not Usable, never Usable
// again. Owned by ClusterParts, which keeps it while there are uses(): handles refer to it. Any thread. Messages and
// replies are handled on the io thread, which rings the doorbell behind them.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/frame_connection.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/shm_segment.h"
#include "base/waiter.h"
#include "client/plasma/fork_guard.h"
#include "client/ray/cluster/link_use.h"
#include "client/ray/cluster/outbox.h"
#include "fbs/ids.h"
#include "fbs/lease_page.h"
#include "fbs/messages.h"

namespace raylet::client {

class RayletLink {
 public:
  struct Options {
    std::string socket;
    wire::ProcessKind kind = wire::ProcessKind::Driver;
    uint64_t startup_token = 0;  // a worker's, from the raylet that started it
    // A driver's, of its RayConfig; a worker gets those of its job.
    std::string actor_namespace;  // empty: one of the job's own
    bool detached_actors = false;
    std::vector<std::string> code_search_path;     // absolute
    std::string environment;                       // of its work: JSON, as in TaskSpec
    Duration patience = std::chrono::seconds(30);  // with a daemon that takes or answers nothing
  };
  // Hears a frame, and takes the descriptors that belong to it.
  using MessageHandler = std::function<void(const Frame& frame, std::vector<UniqueFd>& fds)>;
  using ReplyHandler = std::function<void(Result<Frame> reply, std::vector<UniqueFd>& fds)>;

  // Registers. kNotRunning when nobody serves the socket.
  static Result<std::unique_ptr<RayletLink>> Connect(Options options, Deadline deadline);
  ~RayletLink();

  // Starts the io thread, on which both handlers run.
  void Start(MessageHandler on_message, std::function<void()> on_gone);
  // Ends every wait and the io thread, and closes the socket, so that the raylet hears of it. False: Stop was called
  // before, or this is a forked child. Not from the io thread.
  bool Stop();

  // ---- who this process is
  const wire::RegisterReplyT& registration() const { return registration_; }
  ProcessId process() const { return registration_.process; }
  bool clustered() const { return registration_.clustered; }
  bool IsWorker() const { return options_.kind == wire::ProcessKind::Worker; }
  const std::string& actor_namespace() const { return registration_.actor_namespace; }
  // The runtime environment of its tasks and actors that ask for none, as in TaskSpec.
  const std::string& environment() const { return options_.environment; }
  ObjectId NewId() { return NewObjectId(process(), next_number_); }
  PlacementGroupId NewPlacementGroup() { return NewObjectId<PlacementGroupId>(process(), next_number_); }
  ActorId NewActor() { return NewActorId(process(), next_number_); }

  // ---- whether it can be used
  bool InChild() const { return fork_guard_.InChild(); }
  // False in a forked child and after Stop: handles that go then do nothing.
  bool Usable() const { return !stopped_.load(std::memory_order_acquire) && !InChild(); }
  void CheckUsable() const;  // also that the raylet is there; throws with the remedy
  // Neither stopped nor without its raylet: replies may still come.
  bool Alive() const { return !stopped_.load(std::memory_order_acquire) && !Gone(); }
  bool Gone() const { return gone_.load(std::memory_order_acquire); }
  Error WhyGone() const RAYLET_EXCLUDES(mutex_);  // kDisconnected, or why the raylet ended this connection

  // ---- talking. A message that is sent goes before patience() is over, or not at all.
  template <class Message>
  Result<void> Send(wire::RayletMessage type, const Message& message) {
    return SendBytes(type, 0, Encode(message));
  }
  Result<void> SendEncoded(wire::RayletMessage type, std::span<const std::byte> body) {
    return SendBytes(type, 0, body);
  }
  // For what cannot be taken back: it goes however late the raylet takes it, or the connection ends. A raylet that is
  // gone needs no message.
  template <class Message>
  void Post(wire::RayletMessage type, const Message& message) {
    static_cast<void>(PostEncoded(type, Encode(message)));
  }
  Result<void> PostEncoded(wire::RayletMessage type, std::span<const std::byte> body);
  // The handler runs once: with the reply, or with the reason why there is none.
  void Request(wire::RayletMessage type, std::span<const std::byte> body, ReplyHandler handler) RAYLET_EXCLUDES(mutex_);
  // Waits for the reply, patience() at most. Not from the io thread.
  Result<Frame> Call(wire::RayletMessage type, std::span<const std::byte> body);
  Duration patience() const { return options_.patience; }
  // A lease of this machine's lease page, as a message named it. kProtocolError: there is none. The link outlives it.
  Result<LeaseView> Lease(LeaseNumber lease) const { return lease_page_.View(lease); }
  Doorbell& doorbell() { return *doorbell_.As<Doorbell>(); }
  LinkUses& uses() const { return uses_; }  // uses of this link and of the other parts in ClusterParts

 private:
  explicit RayletLink(Options options) : options_(std::move(options)) {}
  Result<void> Register(Deadline deadline);
  Result<void> SendBytes(wire::RayletMessage type, uint64_t request_id, std::span<const std::byte> body);
  Result<void> CheckBody(std::span<const std::byte> body) const;
  void Run();
  Error WhyItEnded(const std::string& how) const;
  void Break(Error why) RAYLET_EXCLUDES(mutex_);

  mutable LinkUses uses_;
  Options options_;
  const ForkGuard fork_guard_;
  FrameConnection connection_;  // read by the io thread, written by the outbox, replaced when both have ended
  Outbox outbox_{connection_};
  ClosedInChildren closed_in_children_;
  Mapping doorbell_;
  LeasePage lease_page_;  // empty without other machines
  wire::RegisterReplyT registration_;
  std::atomic<uint64_t> next_number_{1};
  MessageHandler on_message_;
  std::function<void()> on_gone_;
  std::thread io_thread_;

  mutable Mutex mutex_;
  std::unordered_map<uint64_t, ReplyHandler> waiting_ RAYLET_GUARDED_BY(mutex_);
  uint64_t last_request_ RAYLET_GUARDED_BY(mutex_) = 1;  // the registration was the first
  Error why_gone_ RAYLET_GUARDED_BY(mutex_);
  std::atomic<bool> gone_{false};     // published after why_gone_ (release), read by every waiter (acquire)
  std::atomic<bool> stopped_{false};  // published by Stop (release), read by everybody (acquire)
};

}  // namespace raylet::client
