#include "tests/raylet/node/wire_process.h"

#include <unistd.h>

#include <new>

#include "base/check.h"

namespace raylet::test {

using wire::RayletMessage;

std::unique_ptr<wire::ValueT> TextValue(const std::string& text) {
  auto value = std::make_unique<wire::ValueT>();
  value->bytes.assign(text.begin(), text.end());
  return value;
}

std::string InlineText(const wire::TaskResultT& result) {
  return {result.result->bytes.begin(), result.result->bytes.end()};
}

Result<WireProcess> WireProcess::Register(const std::string& socket, const WireOptions& options) {
  auto connection = FrameConnection::Connect(socket, Deadline::After(kPatience), false);
  if (!connection) return Fail(connection.error());
  WireProcess process;
  process.connection_ = std::make_unique<FrameConnection>(std::move(*connection));
  auto bell = CreateMemfd("doorbell", sizeof(Doorbell), false);
  if (!bell) return Fail(bell.error());
  auto mapping = Mapping::Map(bell->get(), sizeof(Doorbell), Mapping::Access::kReadWrite);
  if (!mapping) return Fail(mapping.error());
  process.doorbell_ = std::move(*mapping);
  new (process.doorbell_.data()) Doorbell();

  wire::RegisterRequestT request;
  request.magic = kRayletMagic;
  request.version_min = options.version_min;
  request.version_max = options.version_max;
  request.build = "test";
  request.kind = options.kind;
  request.pid = ::getpid();
  request.startup_token = options.token;
  request.executable = options.executable;
  request.arguments = options.arguments;
  request.environment = options.environment;
  request.working_directory = "/";
  request.actor_namespace = options.actor_namespace;
  const int fds[] = {bell->get()};
  RAYLET_RETURN_IF_ERROR(process.connection_->Send(static_cast<uint16_t>(RayletMessage::Register), 1, Encode(request),
                                                   Deadline::After(kPatience), fds));
  const auto frame = process.Await(RayletMessage::RegisterReply);
  if (!frame) return Fail(frame.error());
  auto reply = Parse<wire::RegisterReplyT>(frame->body);
  if (!reply) return Fail(reply.error());
  RAYLET_RETURN_IF_ERROR(FromStatus(*reply->status));
  process.reply_ = std::move(*reply);
  if (process.reply_.leases) process.fds().erase(process.fds().begin());  // the lease page, which it does not read
  if (options.ready) RAYLET_RETURN_IF_ERROR(process.Send(RayletMessage::Ready, wire::ReadyNoticeT()));
  return process;
}

Result<void> WireProcess::SendBytes(RayletMessage type, std::span<const std::byte> body, uint64_t request_id) {
  return connection_->Send(static_cast<uint16_t>(type), request_id, body, Deadline::After(kPatience));
}

Result<std::optional<Frame>> WireProcess::Next(Duration patience) {
  if (!kept_.empty()) {
    Frame frame = std::move(kept_.front());
    kept_.pop_front();
    return frame;
  }
  return connection_->Receive(Deadline::After(patience));
}

Result<Frame> WireProcess::Await(RayletMessage type, Duration patience) {
  for (size_t i = 0; i < kept_.size(); ++i) {
    if (kept_[i].header.type != static_cast<uint16_t>(type)) continue;
    Frame frame = std::move(kept_[i]);
    kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(i));
    return frame;
  }
  const Deadline deadline = Deadline::After(patience);
  for (;;) {
    auto frame = connection_->Receive(deadline);
    if (!frame) return Fail(frame.error());
    if (!frame->has_value())
      return Fail(ErrorCode::kTimedOut, StrCat("no ", wire::EnumNameRayletMessage(type), " came"));
    if ((*frame)->header.type == static_cast<uint16_t>(type)) return std::move(**frame);
    kept_.push_back(std::move(**frame));
  }
}

bool WireProcess::AwaitClosed(Duration patience) {
  const Deadline deadline = Deadline::After(patience);
  for (;;) {
    const auto frame = connection_->Receive(deadline);
    if (!frame) return true;
    if (!frame->has_value()) return false;
  }
}

std::unique_ptr<wire::TaskSpecT> WireProcess::Spec(const std::string& function,
                                                   const std::vector<std::string>& arguments,
                                                   const std::vector<std::pair<std::string, int64_t>>& resources) {
  auto spec = std::make_unique<wire::TaskSpecT>();
  spec->id = std::make_unique<wire::Id20>(ToWire(NewObjectId(process(), *counter_)));
  spec->name = function;
  spec->function = function;
  spec->owner = process();
  for (const auto& argument : arguments) spec->arguments.push_back(TextValue(argument));
  for (const auto& [name, units] : resources) {
    auto resource = std::make_unique<wire::ResourceT>();
    resource->name = name;
    resource->units = units;
    spec->resources.push_back(std::move(resource));
  }
  return spec;
}

TaskId WireProcess::Submit(const TaskOptions& options) {
  const auto spec = Spec(options.function, options.arguments, options.resources);
  spec->max_retries = options.max_retries;
  spec->lend = options.lend;
  for (const ObjectId& object : options.wait_for) spec->wait_for.push_back(ToWire(object));
  RAYLET_CHECK(Send(RayletMessage::SubmitTask, *spec).has_value());
  return FromWire<TaskId>(*spec->id);
}

wire::TaskResultT WireProcess::AwaitResult(const TaskId& task, Duration patience) {
  std::vector<Frame> others;
  for (;;) {
    auto frame = Await(RayletMessage::TaskResult, patience);
    RAYLET_CHECK(frame.has_value(), frame.error().message);
    auto result = Parse<wire::TaskResultT>(frame->body);
    RAYLET_CHECK(result.has_value());
    if (FromWire<TaskId>(*result->id) == task) {
      for (Frame& other : others) kept_.push_back(std::move(other));
      return std::move(*result);
    }
    others.push_back(std::move(*frame));
  }
}

ActorId WireProcess::CreateActor(const ActorOptions& options, Result<void>* outcome) {
  const auto spec = Spec(options.function, {}, options.resources);
  spec->actor = std::make_unique<wire::ActorSpecT>();
  const ActorId id = NewActorId(process(), *counter_);
  spec->actor->id = std::make_unique<wire::Id20>(ToWire(id));
  spec->actor->name = options.name;
  spec->actor->max_restarts = options.max_restarts;
  spec->actor->detached = options.detached;
  RAYLET_CHECK(Send(RayletMessage::CreateActor, *spec, next_request_++).has_value());
  const auto frame = Await(RayletMessage::StatusReply);
  RAYLET_CHECK(frame.has_value(), frame.error().message);
  const auto reply = Parse<wire::StatusReplyT>(frame->body);
  RAYLET_CHECK(reply.has_value());
  const auto status = FromStatus(*reply->status);
  if (outcome != nullptr)
    *outcome = status;
  else
    RAYLET_CHECK(status.has_value(), status.error().message);
  return id;
}

wire::ActorNoticeT WireProcess::AwaitActor(const ActorId& actor, wire::ActorState state) {
  for (;;) {
    const auto frame = Await(RayletMessage::ActorChanged);
    RAYLET_CHECK(frame.has_value(), frame.error().message);
    auto notice = Parse<wire::ActorNoticeT>(frame->body);
    RAYLET_CHECK(notice.has_value());
    if (FromWire<ActorId>(*notice->actor) == actor && notice->state == state) return std::move(*notice);
  }
}

wire::OpenChannelReplyT WireProcess::OpenChannel(const ActorId& actor) {
  wire::OpenChannelRequestT request;
  request.actor = std::make_unique<wire::Id20>(ToWire(actor));
  RAYLET_CHECK(Send(RayletMessage::OpenChannel, request, next_request_++).has_value());
  const auto frame = Await(RayletMessage::OpenChannelReply);
  RAYLET_CHECK(frame.has_value(), frame.error().message);
  auto reply = Parse<wire::OpenChannelReplyT>(frame->body);
  RAYLET_CHECK(reply.has_value());
  return std::move(*reply);
}

void WireProcess::Kill(const ActorId& actor, bool no_restart) {
  wire::KillActorRequestT request;
  request.actor = std::make_unique<wire::Id20>(ToWire(actor));
  request.no_restart = no_restart;
  RAYLET_CHECK(Send(RayletMessage::KillActor, request).has_value());
}

Result<ActorId> WireProcess::Find(const std::string& name) {
  wire::FindActorRequestT request;
  request.name = name;
  RAYLET_CHECK(Send(RayletMessage::FindActor, request, next_request_++).has_value());
  const auto frame = Await(RayletMessage::FindActorReply);
  if (!frame) return Fail(frame.error());
  const auto reply = Parse<wire::FindActorReplyT>(frame->body);
  if (!reply) return Fail(reply.error());
  RAYLET_RETURN_IF_ERROR(FromStatus(*reply->status));
  return FromWire<ActorId>(*reply->actor);
}

std::string WireProcess::StatusJson() {
  RAYLET_CHECK(Send(RayletMessage::NodeStatus, wire::EmptyNoticeT(), next_request_++).has_value());
  const auto frame = Await(RayletMessage::NodeStatusReply);
  RAYLET_CHECK(frame.has_value(), frame.error().message);
  const auto reply = Parse<wire::NodeStatusReplyT>(frame->body);
  RAYLET_CHECK(reply.has_value());
  return reply->json;
}

}  // namespace raylet::test
