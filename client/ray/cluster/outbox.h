// Outbox: what this process says to its raylet, in order. A message that can be taken back fails where the raylet does
// not take it in time, in which this process ran. Any other one stays here and goes once the raylet takes more, on a
// thread that starts with the first of them. Owned by the RayletLink, whose connection it writes. Any thread. Always
// holds: a message goes whole, or the connection has ended. No message overtakes one that was posted before. No thread
// waits for the socket under the lock, so each waits for its own deadline alone.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/awake_clock.h"
#include "base/frame_connection.h"
#include "base/mutex.h"
#include "base/result.h"

namespace raylet::client {

class Outbox {
 public:
  static constexpr size_t kKeptBytesMax = size_t{64} << 20;
  static constexpr size_t kCrowdedBytes = size_t{1} << 20;  // past it, those that post wait for a raylet that is slow

  // `connection` outlives it, and nobody else sends there.
  explicit Outbox(FrameConnection& connection, size_t kept_bytes_max = kKeptBytesMax)
      : connection_(connection), kept_bytes_max_(kept_bytes_max) {}
  ~Outbox() { Stop(); }

  // kTimedOut: the raylet has taken nothing of it before the deadline, and will not.
  Result<void> Send(uint16_t type, uint64_t request_id, std::span<const std::byte> body, const AwakeDeadline& deadline)
      RAYLET_EXCLUDES(mutex_);
  // Keeps the message where the socket is full. Where very much is kept already, it waits until the deadline for room
  // first, unless others have done so in vain. kSlowConsumer: too much waits, and the connection has ended for that.
  Result<void> Post(uint16_t type, std::span<const std::byte> body, const AwakeDeadline& deadline)
      RAYLET_EXCLUDES(mutex_);
  // The connection has been shut down. Ends the waits of other threads and the own thread. Nothing is sent any more.
  void Stop() RAYLET_EXCLUDES(mutex_);
  std::optional<Error> WhyEnded() const RAYLET_EXCLUDES(mutex_);  // where too much waited

 private:
  struct Message {
    uint16_t type = 0;
    std::vector<std::byte> body;
  };
  bool Waits() const RAYLET_REQUIRES(mutex_) { return !kept_.empty() || begun_; }
  Result<void> CheckOpen() const RAYLET_REQUIRES(mutex_);
  Result<bool> TrySend(uint16_t type, uint64_t request_id, std::span<const std::byte> body) RAYLET_REQUIRES(mutex_);
  Result<bool> SendKept() RAYLET_REQUIRES(mutex_);
  void SendLater() RAYLET_REQUIRES(mutex_);
  void Run() RAYLET_EXCLUDES(mutex_);

  FrameConnection& connection_;
  const size_t kept_bytes_max_;
  mutable Mutex mutex_;
  ConditionVariable changed_;
  bool begun_ RAYLET_GUARDED_BY(mutex_) = false;  // the connection keeps the rest of a message
  std::deque<Message> kept_ RAYLET_GUARDED_BY(mutex_);
  size_t kept_bytes_ RAYLET_GUARDED_BY(mutex_) = 0;
  bool stalled_ RAYLET_GUARDED_BY(mutex_) = false;  // a thread has waited for room in vain, and nothing has gone since
  size_t polling_ RAYLET_GUARDED_BY(mutex_) = 0;    // threads that wait for the socket, without the lock
  std::optional<Error> ended_ RAYLET_GUARDED_BY(mutex_);
  std::optional<Error> broken_ RAYLET_GUARDED_BY(mutex_);  // nothing that is kept can go any more
  std::atomic<bool> stopped_{false};  // set under mutex_, read by a thread that waits for the socket
  std::thread thread_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
