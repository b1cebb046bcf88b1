// WireProcess: the messages of a driver or a worker. It registers, sends messages and waits for those of the raylet.
// One thread. Every wait has a deadline; other messages that come meanwhile are kept for later.
#pragma once

#include <atomic>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/frame_connection.h"
#include "base/shm_segment.h"
#include "base/waiter.h"
#include "fbs/messages.h"

namespace raylet::test {

constexpr Duration kPatience = std::chrono::seconds(20);

struct WireOptions {
  wire::ProcessKind kind = wire::ProcessKind::Driver;
  std::string executable;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::string actor_namespace = "test";
  uint64_t token = 0;
  uint16_t version_min = kRayletProtocolMin;
  uint16_t version_max = kRayletProtocolMax;
  bool ready = true;
};

// The fields of a task that a test sets; the others are filled in.
struct TaskOptions {
  std::string function = "echo";
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, int64_t>> resources = {{"CPU", 10'000}};
  std::vector<ObjectId> wait_for;
  int32_t max_retries = 0;
  uint64_t lend = 0;
};

struct ActorOptions {
  std::string name;
  std::string function = "actor";
  int32_t max_restarts = 0;
  bool detached = false;
  std::vector<std::pair<std::string, int64_t>> resources = {{"CPU", 0}};
};

class WireProcess {
 public:
  // kVersionMismatch and the like: the error in the raylet's reply.
  static Result<WireProcess> Register(const std::string& socket, const WireOptions& options);

  template <class Message>
  Result<void> Send(wire::RayletMessage type, const Message& message, uint64_t request_id = 0) {
    return SendBytes(type, Encode(message), request_id);
  }
  Result<void> SendBytes(wire::RayletMessage type, std::span<const std::byte> body, uint64_t request_id = 0);
  // The next message of this type; others that come first are kept. Its descriptors are in `fds`.
  Result<Frame> Await(wire::RayletMessage type, Duration patience = kPatience);
  Result<std::optional<Frame>> Next(Duration patience);  // of any type
  bool AwaitClosed(Duration patience = kPatience);

  // Requests that drivers make.
  TaskId Submit(const TaskOptions& options);
  wire::TaskResultT AwaitResult(const TaskId& task, Duration patience = kPatience);
  ActorId CreateActor(const ActorOptions& options, Result<void>* outcome = nullptr);
  wire::ActorNoticeT AwaitActor(const ActorId& actor, wire::ActorState state);
  wire::OpenChannelReplyT OpenChannel(const ActorId& actor);
  void Kill(const ActorId& actor, bool no_restart);
  Result<ActorId> Find(const std::string& name);
  std::string StatusJson();

  ProcessId process() const { return reply_.process; }
  uint32_t job() const { return reply_.job; }
  const wire::RegisterReplyT& registration() const { return reply_; }
  Doorbell& doorbell() const { return *doorbell_.As<Doorbell>(); }
  std::vector<UniqueFd>& fds() { return connection_->fds(); }
  FrameConnection& connection() { return *connection_; }

 private:
  std::unique_ptr<wire::TaskSpecT> Spec(const std::string& function, const std::vector<std::string>& arguments,
                                        const std::vector<std::pair<std::string, int64_t>>& resources);

  std::unique_ptr<FrameConnection> connection_;
  std::unique_ptr<std::atomic<uint64_t>> counter_ = std::make_unique<std::atomic<uint64_t>>(1);
  uint64_t next_request_ = 2;
  Mapping doorbell_;
  wire::RegisterReplyT reply_;
  std::deque<Frame> kept_;
};

std::string InlineText(const wire::TaskResultT& result);  // of an inline result
std::unique_ptr<wire::ValueT> TextValue(const std::string& text);

}  // namespace raylet::test
