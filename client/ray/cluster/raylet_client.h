// RayletClient: this process's registration with its raylet: the socket, the io thread that reads it, and the doorbell
// on which this process's threads park. Owned by the core. Sending is thread-safe; messages and replies are handled on
// the io thread, which rings the doorbell after each.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/frame_connection.h"
#include "base/result.h"
#include "base/shm_segment.h"
#include "base/waiter.h"
#include "client/plasma/fork_guard.h"
#include "fbs/messages.h"

namespace raylet::client {

class RayletClient {
 public:
  // The frame, and the descriptors that came with it: take what belongs to it.
  using ReplyHandler = std::function<void(Result<Frame> reply, std::vector<UniqueFd>& fds)>;

  class Handler {  // io thread
   public:
    virtual ~Handler() = default;
    virtual void OnMessage(const Frame& frame, std::vector<UniqueFd>& fds) = 0;
    virtual void OnRayletGone() = 0;
  };

  // Registers. kNotRunning when nobody serves `socket`.
  static Result<std::unique_ptr<RayletClient>> Connect(const std::string& socket, wire::RegisterRequestT request,
                                                       Deadline deadline);
  ~RayletClient();

  const wire::RegisterReplyT& registration() const { return registration_; }
  const std::string& socket() const { return socket_; }
  Doorbell& doorbell() { return *doorbell_.As<Doorbell>(); }

  void Start(Handler& handler);  // the io thread; `handler` lives until Stop has returned
  void Stop();                   // not from the io thread

  template <class Message>
  Result<void> Send(wire::RayletMessage type, const Message& message) {
    return SendBytes(type, 0, Encode(message));
  }
  Result<void> SendBytes(wire::RayletMessage type, uint64_t request_id, std::span<const std::byte> body);
  // The handler runs once: with the reply, or with the reason why there is none.
  void Request(wire::RayletMessage type, std::span<const std::byte> body, ReplyHandler handler);
  // Waits for the reply. Not from the io thread.
  Result<Frame> Call(wire::RayletMessage type, std::span<const std::byte> body, Deadline deadline);

  bool Gone() const { return gone_.load(std::memory_order_acquire); }
  Error WhyGone() const;  // kDisconnected, or why the raylet has ended this connection

 private:
  RayletClient() = default;
  void Run();
  Error WhyItEnded(const std::string& how) const;
  void Break(Error why);

  std::string socket_;
  FrameConnection connection_;
  ClosedInChildren closed_in_children_;
  Mapping doorbell_;
  wire::RegisterReplyT registration_;
  Handler* handler_ = nullptr;
  std::thread io_thread_;
  std::mutex send_mutex_;
  mutable std::mutex mutex_;  // guards what follows
  std::unordered_map<uint64_t, ReplyHandler> waiting_;
  uint64_t last_request_ = 0;
  Error why_gone_;
  std::atomic<bool> gone_{false};  // published after why_gone_ (release), read by every waiter (acquire)
};

}  // namespace raylet::client
