// ProcessSession: the raylet's end of one process's connection: a driver, a worker, or a tool. Owned by the
// ProcessDoor; loop thread only. It speaks frames and keeps the process's identity; the desks know what a message
// means. Always holds: before a good Register nothing but Register is heard. A connection that does not register in
// time is closed. After Fail or a close, nothing is heard any more and OnSessionClosed comes exactly once. A process
// that does not read is behind first, so that the raylet starts no more of its tasks. Where far more waits, the raylet
// does not hear it either, since most messages ask for an answer. The session ends only where the process takes nothing
// at all for some time. However slowly it reads, it is not ended. The last word in the page of the process's doorbell
// tells it why.
// What waits is bounded: by the answers to what it has asked for, by the results of tasks that ran when it fell behind,
// and by one message for each object, lend, actor and process that it shares with others.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/framed_socket.h"
#include "base/loop.h"
#include "fbs/messages.h"
#include "raylet/scheduling/task.h"

namespace raylet {

using SessionId = uint64_t;

// Bounds of the bytes that wait for one process, unread.
struct SessionLimits {
  size_t behind_bytes = size_t{16} << 20;         // above it the process is behind,
  size_t caught_up_bytes = size_t{4} << 20;       // until no more than this waits
  size_t stalled_bytes = size_t{256} << 20;       // above it, it is not heard, and is ended when it takes nothing
  std::chrono::milliseconds stalled_for{30'000};  // for so long
  size_t full_bytes = size_t{1} << 30;            // above it, it is ended when it takes nothing
  std::chrono::milliseconds full_for{5'000};      // for so long
};

class ProcessSession final : public FramedSocket::Handler {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    // kProtocolError closes the connection. `doorbell` may be invalid.
    virtual Result<void> OnRegister(ProcessSession& session, uint64_t request_id, wire::RegisterRequestT request,
                                    UniqueFd doorbell) = 0;
    virtual Result<void> OnMessage(ProcessSession& session, wire::RayletMessage type, const Frame& frame) = 0;
    // Called from inside Send, too.
    virtual void OnBehind(ProcessSession& session, bool behind) = 0;
    // The last event: the session may be destroyed in here.
    virtual void OnSessionClosed(ProcessSession& session, const Error& reason) = 0;
  };

  ProcessSession(Loop& loop, SessionId id, UniqueFd fd, Events& events, const SessionLimits& limits = {});

  template <class Message>
  void Send(wire::RayletMessage type, uint64_t request_id, const Message& message, std::span<const int> fds = {}) {
    SendBytes(type, request_id, Encode(message), fds);
  }
  void SendBytes(wire::RayletMessage type, uint64_t request_id, std::span<const std::byte> body,
                 std::span<const int> fds = {});
  void Close(Error reason);

  SessionId id() const { return id_; }
  pid_t peer_pid() const { return peer_pid_; }
  bool IsBehind() const { return socket_.queued_bytes() > limits_.behind_bytes; }
  const FramedSocket& socket() const { return socket_; }

  // Set by the ProcessDoor when the process has registered.
  struct Identity {
    ProcessId process = 0;
    JobId job = 0;
    wire::ProcessKind kind = wire::ProcessKind::Tool;
    WorkerId worker = 0;  // a worker's
    UniqueFd doorbell;
    bool ready = false;
    uint32_t store_client = 0;
  };
  std::optional<Identity> identity;

 private:
  void OnFrame(const Frame& frame, std::vector<UniqueFd>& fds) override;
  void OnClosed(const Error& reason) override;
  void OnBehind(bool behind) override;
  void OnClosing(const Error& reason) override;
  void LookWhetherItReads();
  void EndIfStalled(int looks, std::chrono::milliseconds patience, size_t limit);
  std::string Name() const;
  Result<void> Hear(const Frame& frame, std::vector<UniqueFd>& fds);

  const SessionId id_;
  Loop& loop_;
  Events& events_;
  const SessionLimits limits_;
  FramedSocket socket_;
  Timer register_timer_;
  Timer reading_timer_;       // while it is behind
  uint64_t bytes_taken_ = 0;  // at the last look
  int stalled_looks_ = 0;     // in a row, with nothing taken and too much waiting,
  int full_looks_ = 0;        // and with far too much waiting
  bool warned_ = false;
  pid_t peer_pid_ = 0;
};

}  // namespace raylet
