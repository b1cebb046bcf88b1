#include "client/ray/cluster/task_submitter.h"

#include <algorithm>
#include <cmath>

#include <ray/api/exceptions.h>

#include "base/strings.h"
#include "client/ray/cluster/cluster_core.h"

namespace raylet::client {
namespace {

constexpr int kDefaultTaskRetries = 3;
constexpr double kUnitsPerWhole = 10000;
constexpr Duration kCreatePatience = std::chrono::seconds(30);

// One submission on its way; shared with whatever it waits for.
struct Submission {
  ClusterCore& core;
  wire::TaskSpecT spec;
  CallArguments arguments;
  ClusterObjectPtr result;  // of a task
  ActorLinkPtr actor;       // of a creation
};
using SubmissionPtr = std::shared_ptr<Submission>;

void FillResources(wire::TaskSpecT& spec, const ray::internal::CallOptions& options, double cpus) {
  std::map<std::string, double> resources = options.resources;
  if (cpus > 0) resources.emplace("CPU", cpus);
  for (const auto& [name, amount] : resources) {
    auto resource = std::make_unique<wire::ResourceT>();
    resource->name = name;
    // A sliver above zero is not nothing.
    resource->units = std::max<int64_t>(amount > 0 ? 1 : 0, std::llround(amount * kUnitsPerWhole));
    if (resource->units > 0) spec.resources.push_back(std::move(resource));
  }
}

SubmissionPtr NewSubmission(ClusterCore& core, const std::string& function, CallArguments arguments,
                            const ray::internal::CallOptions& options) {
  auto submission = std::make_shared<Submission>(Submission{core, {}, std::move(arguments), nullptr, nullptr});
  wire::TaskSpecT& spec = submission->spec;
  spec.id = std::make_unique<wire::Id20>(ToWire(core.NewId()));
  spec.name = options.name.empty() ? function : options.name;
  spec.function = function;
  spec.owner = core.process();
  spec.owner_store_client = core.store_client();
  return submission;
}

// What the arguments are worth now; a failure where one has none.
FailurePtr FillArguments(Submission& submission) {
  std::vector<ValueView> views;
  if (FailurePtr failure = submission.arguments.Resolve(views); failure != nullptr) return failure;
  wire::TaskSpecT& spec = submission.spec;
  for (const ValueView& view : views) {
    auto value = std::make_unique<wire::ValueT>();
    if (view.kind == ValueView::Kind::kStored) {
      value->kind = wire::ValueKind::Stored;
      value->id = std::make_unique<wire::Id20>(ToWire(view.id));
      if (OwnerOf(view.id) != submission.core.process()) spec.wait_for.push_back(ToWire(view.id));
    } else {
      value->kind = wire::ValueKind::Inline;
      value->bytes.assign(view.bytes.begin(), view.bytes.end());
    }
    spec.arguments.push_back(std::move(value));
  }
  spec.lend = submission.core.lends().Add(0, submission.arguments.TakeHolds());
  return nullptr;
}

// Calls `ready` once no argument is to come any more.
template <class Ready>
void WhenArgumentsReady(const SubmissionPtr& submission, Ready ready) {
  const ClusterObjectPtr unready = submission->arguments.FirstUnready();
  if (unready == nullptr) return ready();
  unready->OnReady([submission, ready] { WhenArgumentsReady(submission, ready); });
}

void SendTask(Submission& submission) {
  if (FailurePtr failure = FillArguments(submission); failure != nullptr)
    return submission.result->FulfilFailed(std::move(failure));
  const TaskId id = submission.result->id();
  submission.core.AddTask(id, PendingCall{submission.result, submission.spec.lend});
  const auto sent = submission.core.raylet().Send(wire::RayletMessage::SubmitTask, submission.spec);
  PendingCall task;
  if (sent || !submission.core.TakeTask(id, task)) return;
  if (task.lend != 0) const Holds ended = submission.core.lends().Take(task.lend);
  task.result->FulfilFailed(FailureOf(sent.error(), StrCat("task ", submission.spec.name, " could not be submitted")));
}

Result<void> SendCreation(Submission& submission) {
  const wire::TaskSpecT& spec = submission.spec;
  const bool restarts = spec.actor->max_restarts != 0;
  // With restarts the arguments are needed as long as the actor lives; without, until its constructor has ended.
  const auto id = FromWire<TaskId>(*spec.id);
  if (!restarts && spec.lend != 0) submission.core.AddTask(id, PendingCall{nullptr, spec.lend});
  submission.actor->Created(spec.lend);
  const auto reply =
      submission.core.raylet().Call(wire::RayletMessage::CreateActor, Encode(spec), Deadline::After(kCreatePatience));
  if (!reply) return Fail(reply.error());
  const auto status = Parse<wire::StatusReplyT>(reply->body);
  if (!status) return Fail(status.error());
  return FromStatus(*status->status);
}

// As SendCreation, on a thread that must not wait for the raylet.
void SendCreationAsync(const SubmissionPtr& submission) {
  const wire::TaskSpecT& spec = submission->spec;
  if (spec.actor->max_restarts == 0 && spec.lend != 0)
    submission->core.AddTask(FromWire<TaskId>(*spec.id), PendingCall{nullptr, spec.lend});
  submission->core.raylet().Request(
      wire::RayletMessage::CreateActor, Encode(spec), [submission](Result<Frame> reply, std::vector<UniqueFd>&) {
        Result<void> outcome;
        if (!reply) {
          outcome = Fail(reply.error());
        } else if (const auto status = Parse<wire::StatusReplyT>(reply->body); !status) {
          outcome = Fail(status.error());
        } else {
          outcome = FromStatus(*status->status);
        }
        if (!outcome) submission->actor->Die(MakeFailure(wire::FailureKind::ActorDied, outcome.error().message));
      });
  submission->actor->Created(spec.lend);
}

}  // namespace

ClusterObjectPtr SubmitTask(ClusterCore& core, const std::string& function, CallArguments arguments,
                            const ray::internal::CallOptions& options) {
  const SubmissionPtr submission = NewSubmission(core, function, std::move(arguments), options);
  submission->spec.max_retries = options.max_retries < 0 ? kDefaultTaskRetries : options.max_retries;
  FillResources(submission->spec, options, 1);
  submission->result = std::make_shared<ClusterObject>(core, FromWire<ObjectId>(*submission->spec.id), /*owned=*/true);
  ClusterObjectPtr result = submission->result;
  WhenArgumentsReady(submission, [submission] { SendTask(*submission); });
  return result;
}

ActorLinkPtr CreateActor(ClusterCore& core, const std::string& factory, CallArguments arguments,
                         const ray::internal::CallOptions& options) {
  const SubmissionPtr submission = NewSubmission(core, factory, std::move(arguments), options);
  FillResources(submission->spec, options, 0);
  auto& actor = submission->spec.actor;
  actor = std::make_unique<wire::ActorSpecT>();
  const ActorId id = core.NewActor();
  actor->id = std::make_unique<wire::Id20>(ToWire(id));
  actor->name = options.name;
  actor->actor_namespace = options.actor_namespace.empty() ? core.actor_namespace() : options.actor_namespace;
  actor->max_restarts = options.max_restarts;
  actor->detached = options.detached;
  submission->actor = std::make_shared<ActorLink>(core, id, /*ends_with_handles=*/!options.detached);
  ActorLinkPtr link = submission->actor;
  core.RegisterActor(link);
  const auto fail = [link](const FailurePtr& failure) { link->Die(AsActorDied(*failure, false)); };
  if (submission->arguments.FirstUnready() == nullptr) {
    if (const FailurePtr failure = FillArguments(*submission); failure != nullptr) {
      fail(failure);
    } else if (const auto created = SendCreation(*submission); !created) {
      link->Die(MakeFailure(wire::FailureKind::ActorDied, created.error().message));
      throw ray::internal::RayException(created.error().message);
    }
    return link;
  }
  link->SetCreating();
  WhenArgumentsReady(submission, [submission, fail] {
    if (const FailurePtr failure = FillArguments(*submission); failure != nullptr) return fail(failure);
    SendCreationAsync(submission);
  });
  return link;
}

}  // namespace raylet::client
