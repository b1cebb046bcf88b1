#include "client/ray/cluster/task_submitter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <ray/api/exceptions.h>

#include "base/strings.h"
#include "client/ray/cluster/awaited.h"
#include "client/ray/cluster/environment.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/store_access.h"
#include "fbs/text_bounds.h"

namespace raylet::client {
namespace {

constexpr double kTaskCpus = 1;

// Calls `ready` once no argument is to come any more.
template <class SubmissionPtr, class Ready>
void WhenArgumentsReady(const SubmissionPtr& submission, Ready ready) {
  const ClusterObjectPtr unready = submission->arguments.FirstUnready();
  if (unready == nullptr) return ready();
  unready->OnReady([submission, ready] { WhenArgumentsReady(submission, ready); });
}

}  // namespace

// A creation on its way; shared with whatever it waits for.
struct TaskSubmitter::Creation {
  wire::TaskSpecT spec;
  CallArguments arguments;
  ActorLinkPtr actor;
};

// A spec of this process, without its arguments.
wire::TaskSpecT TaskSubmitter::SpecOf(const TaskId& id, const std::string& function, const std::string& name) {
  wire::TaskSpecT spec;
  spec.id = std::make_unique<wire::Id20>(ToWire(id));
  spec.name = name.empty() ? function : name;
  spec.function = function;
  spec.owner = parts_.link.process();
  spec.owner_store_client = parts_.store.client_number();
  return spec;
}

// The arguments are resolved: their views, and what must stay while the callee uses them.
void TaskSubmitter::FillArguments(wire::TaskSpecT& spec, std::span<const ValueView> views, Holds holds) {
  for (const ValueView& view : views) {
    auto value = std::make_unique<wire::ValueT>();
    if (view.kind == ValueView::Kind::kStored) {
      value->kind = wire::ValueKind::Stored;
      value->id = std::make_unique<wire::Id20>(ToWire(view.id));
      if (OwnerOf(view.id) != parts_.link.process()) spec.wait_for.push_back(ToWire(view.id));
    } else {
      value->kind = wire::ValueKind::Inline;
      value->bytes.assign(view.bytes.begin(), view.bytes.end());
    }
    spec.arguments.push_back(std::move(value));
  }
  spec.lend = parts_.ownership.Lend(0, std::move(holds));
}

TaskRoom::Place TaskSubmitter::WaitForRoom(size_t bytes) {
  std::optional<TaskRoom::Place> place = room_.TryTake(bytes);
  if (place) return *std::move(place);
  const auto taken = [&] {
    if (!place) place = room_.TryTake(bytes);
    return place.has_value();
  };
  while (!taken()) pump_.WaitUntil(Deadline::Never(), taken);
  parts_.link.CheckUsable();  // there is room, too, when Shutdown or the raylet's end has ended all tasks
  return *std::move(place);
}

// All arguments are there.
void TaskSubmitter::Route(const TaskSubmissionPtr& task) {
  if (task->result->ready()) {  // cancelled meanwhile
    task->place = {};
    return;
  }
  if (FailurePtr failure = task->arguments.Resolve(task->views); failure != nullptr) {
    task->place = {};
    task->result->FulfilFailed(std::move(failure));
    return pump_.WakeWaiters();  // also those for its room
  }
  const bool inline_only = std::none_of(task->views.begin(), task->views.end(),
                                        [](const ValueView& view) { return view.kind == ValueView::Kind::kStored; });
  const bool sound =
      task->function.size() <= kNameBytesMax && task->name.size() <= kNameBytesMax;  // or the raylet says
  if (inline_only && sound && !task->arguments.Lends()) task->kind = leased_.KindOf(*task);
  if (task->kind == nullptr || !leased_.Take(task)) SendByRaylet(task);
}

void TaskSubmitter::SendByRaylet(const TaskSubmissionPtr& task) {
  const TaskId id = task->result->id();
  if (task->result->ready()) {  // cancelled meanwhile
    task->place = {};
    return;
  }
  wire::TaskSpecT spec = SpecOf(id, task->function, task->name);
  spec.depth = task->depth;
  spec.environment = task->environment;
  SetPlacementGroup(spec, task->placement_group, task->bundle);
  spec.max_retries = task->retries_left;
  spec.begun_before = task->begun_before;
  spec.exception_retries = task->exception_retries;
  FillResources(task->resources, kTaskCpus, spec.resources);
  FillArguments(spec, task->views, task->arguments.TakeHolds());
  tasks_.Add(id, PendingCall{task->result, spec.lend}, std::move(task->place), task->kind);
  SendUnlessCancelled(id, spec.name, Encode(spec));
}

void TaskSubmitter::SendUnlessCancelled(const TaskId& id, const std::string& name, std::span<const std::byte> spec) {
  std::optional<PendingCall> cancelled;
  Result<void> sent;
  {
    const MutexLock lock(send_mutex_);
    cancelled = tasks_.TakeCancelled(id);
    if (!cancelled) sent = parts_.link.SendEncoded(wire::RayletMessage::SubmitTask, spec);
  }
  if (cancelled && cancelled->lend != 0) const Holds ended = parts_.ownership.EndLend(cancelled->lend);
  if (!sent) FailUnsent(id, name, sent.error());
}

void TaskSubmitter::TellOfCancel(const TaskId& id, uint64_t lease, bool force) {
  wire::CancelRequestT request;
  request.task = std::make_unique<wire::Id20>(ToWire(id));
  request.lease = lease;
  request.force = force;
  parts_.link.Post(wire::RayletMessage::CancelTask, request);  // a raylet that is gone ended it
}

void TaskSubmitter::FailCancelled(ClusterObject& result, const char* why) {
  auto failure = std::make_shared<Failure>();
  failure->kind = wire::FailureKind::TaskCancelled;
  failure->message = why;
  failure->may_have_run = true;
  result.FulfilFailed(std::move(failure));
  pump_.WakeWaiters();
}

void TaskSubmitter::CancelCall(ClusterObject& result) {
  if (result.ready()) return;
  FailCancelled(result, "the call was cancelled by ray::Cancel");
  const std::optional<ActorId> actor = actors_.Cancel(result);
  if (!actor) return;
  wire::CancelRequestT request;
  request.task = std::make_unique<wire::Id20>(ToWire(result.id()));
  request.actor = std::make_unique<wire::Id20>(ToWire(*actor));
  static_cast<void>(parts_.link.Send(wire::RayletMessage::CancelTask, request));  // a raylet that is gone ended it
}

void TaskSubmitter::Cancel(ClusterObject& result, bool force) {
  if (result.ready()) return;
  FailCancelled(result, "the task was cancelled by ray::Cancel");
  if (const uint64_t lease = leased_.Cancel(result, /*last=*/force); lease != 0)
    return TellOfCancel(result.id(), lease, force);
  const MutexLock lock(send_mutex_);
  if (tasks_.Has(result.id())) TellOfCancel(result.id(), 0, force);
}

bool TaskSubmitter::CancelCurrent(const TaskId& id, bool force) {
  if (!current_.Cancel(id, /*last=*/force)) return false;
  for (const ClusterObjectPtr& child : current_.TakeChildren()) Cancel(*child, force);
  if (force) current_.EndProcessIf(id);
  return true;
}

void TaskSubmitter::FailUnsent(const TaskId& id, const std::string& name, const Error& why) {
  const auto task = tasks_.Take(id);
  if (!task) return;
  if (task->lend != 0) const Holds ended = parts_.ownership.EndLend(task->lend);
  task->result->FulfilFailed(FailureOf(why, StrCat("task ", name, " could not be submitted")));
  pump_.WakeWaiters();
}

void TaskSubmitter::OnReturned(std::span<const std::byte> spec) {
  if (const auto task = Parse<wire::TaskSpecT>(spec))
    room_.Return({FromWire<TaskId>(*task->id), task->name, Bytes(spec.begin(), spec.end())});
}

void TaskSubmitter::OnRoom() {
  for (const TaskRoom::Returned& task : room_.TakeReturned()) SendUnlessCancelled(task.id, task.name, task.spec);
}

void TaskSubmitter::SendCreation(const CreationPtr& creation, CreationAnswer answer) {
  const wire::TaskSpecT& spec = creation->spec;
  const auto id = FromWire<TaskId>(*spec.id);
  // With restarts the arguments are needed as long as the actor lives; without, until its
  // constructor has ended.
  if (spec.actor->max_restarts == 0 && spec.lend != 0) tasks_.Add(id, PendingCall{nullptr, spec.lend}, {});
  parts_.link.Request(wire::RayletMessage::CreateActor, Encode(spec),
                      [this, id, answer = std::move(answer)](Result<Frame> reply, std::vector<UniqueFd>&) {
                        const Result<void> outcome = ParseStatusReply(reply);
                        if (!outcome) tasks_.Take(id);  // no constructor will end
                        answer(outcome);
                      });
  creation->actor->Created(spec.lend);
}

// Sends the creation and waits for the answer. A raylet that has stopped for a while still hears of the creation when
// it goes on, and of its end right behind it. If the notice of the end found no room in the socket, the late answer
// sends it again.
Result<void> TaskSubmitter::CreateNow(const CreationPtr& creation) {
  const auto answer = std::make_shared<Awaited<Result<void>>>();
  const ActorId actor = creation->actor->id();
  SendCreation(creation, [this, answer, actor](const Result<void>& outcome) {
    if (!answer->Set(outcome) && outcome) Kill(actor);
  });
  const Duration patience = parts_.link.patience();
  if (const auto outcome = answer->Await(patience)) return *outcome;
  tasks_.Take(FromWire<TaskId>(*creation->spec.id));  // no constructor will end
  Kill(actor);
  return Fail(ErrorCode::kTimedOut,
              StrCat("the raylet did not answer the creation of actor ", creation->spec.name, " within ",
                     std::chrono::duration_cast<std::chrono::seconds>(patience).count(),
                     " s: see whether it is stopped, and create the actor again; this creation has been called off"));
}

void TaskSubmitter::Kill(const ActorId& actor) {
  wire::KillActorRequestT request;
  request.actor = std::make_unique<wire::Id20>(ToWire(actor));
  request.no_restart = true;
  parts_.link.Post(wire::RayletMessage::KillActor, request);  // a raylet that is gone ended it
}

ClusterObjectPtr TaskSubmitter::SubmitTask(const std::string& function, CallArguments arguments,
                                           const ray::internal::CallOptions& options) {
  pump_.Drain();
  TaskRoom::Place place = WaitForRoom(arguments.inline_bytes());
  const auto task = std::make_shared<TaskSubmission>();
  task->function = function;
  task->name = options.name;
  task->resources = options.resources;
  task->environment = MergeEnvironments(parts_.link.environment(), options.runtime_env);
  task->placement_group = options.placement_group;
  task->bundle = options.bundle;
  task->depth = depth_.load(std::memory_order_relaxed);
  task->arguments = std::move(arguments);
  task->place = std::move(place);
  task->retries_left = options.max_retries;
  if (options.retry_exceptions) task->exception_retries = task->retries_left;
  task->result = std::make_shared<ClusterObject>(parts_, parts_.link.NewId(), /*owned=*/true);
  ClusterObjectPtr result = task->result;
  result->MarkOfTask();
  if (parts_.link.IsWorker()) current_.AddChild(result);
  WhenArgumentsReady(task, [this, task] { Route(task); });
  return result;
}

ActorLinkPtr TaskSubmitter::CreateActor(const std::string& factory, CallArguments arguments,
                                        const ray::internal::CallOptions& options) {
  // The raylet checks too, but the name travels twice, and the message would be too long first.
  if (const auto sound = CheckName("an actor's name", options.name); !sound) Throw(sound.error());
  const auto creation = std::make_shared<Creation>();
  creation->arguments = std::move(arguments);
  creation->spec = SpecOf(parts_.link.NewId(), factory, options.name);
  creation->spec.depth = depth_.load(std::memory_order_relaxed);
  FillResources(options.resources, /*cpus=*/0, creation->spec.resources);
  creation->spec.environment = MergeEnvironments(parts_.link.environment(), options.runtime_env);
  SetPlacementGroup(creation->spec, options.placement_group, options.bundle);
  auto& actor = creation->spec.actor;
  actor = std::make_unique<wire::ActorSpecT>();
  const ActorId id = parts_.link.NewActor();
  actor->id = std::make_unique<wire::Id20>(ToWire(id));
  actor->name = options.name;
  actor->actor_namespace = options.actor_namespace.empty() ? parts_.link.actor_namespace() : options.actor_namespace;
  actor->max_restarts = options.max_restarts;
  actor->detached = options.detached;
  actor->max_task_retries = options.max_retries;
  actor->max_concurrency = options.max_concurrency;
  creation->actor = actors_.Make(id, /*ends_with_handles=*/!options.detached && options.name.empty());
  ActorLinkPtr link = creation->actor;
  const auto fail = [link](const FailurePtr& failure) { link->Die(AsActorDied(*failure, false)); };
  const auto refuse = [link](const Error& error) {
    link->Die(MakeFailure(wire::FailureKind::ActorDied, error.message));
  };
  const auto fill = [this](Creation& filled) {
    std::vector<ValueView> views;
    FailurePtr failure = filled.arguments.Resolve(views);
    if (failure == nullptr) FillArguments(filled.spec, views, filled.arguments.TakeHolds());
    return failure;
  };
  if (creation->arguments.FirstUnready() == nullptr) {
    if (const FailurePtr failure = fill(*creation); failure != nullptr) {
      fail(failure);
      return link;
    }
    if (const Result<void> created = CreateNow(creation); !created) {
      refuse(created.error());
      actors_.Forget(*link);  // nobody gets a handle of it
      throw ray::internal::RayException(created.error().message);
    }
    return link;
  }
  link->SetCreating();
  WhenArgumentsReady(creation, [this, creation, fill, fail, refuse] {
    if (const FailurePtr failure = fill(*creation); failure != nullptr) return fail(failure);
    SendCreation(creation, [refuse](const Result<void>& outcome) {
      if (!outcome) refuse(outcome.error());
    });
  });
  return link;
}

}  // namespace raylet::client
