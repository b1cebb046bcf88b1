#include "client/ray/cluster/task_submitter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include <ray/api/exceptions.h>

#include "base/strings.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/store_access.h"
#include "fbs/text_bounds.h"

namespace raylet::client {
namespace {

constexpr int kDefaultTaskRetries = 3;
constexpr double kUnitsPerWhole = 10000;

void FillResources(wire::TaskSpecT& spec, const ray::internal::CallOptions& options, double cpus) {
  std::map<std::string, double> resources = options.resources;
  if (cpus > 0) resources.emplace("CPU", cpus);
  for (const auto& [name, amount] : resources) {
    auto resource = std::make_unique<wire::ResourceT>();
    resource->name = name;
    // A tiny amount must not round to zero.
    resource->units = std::max<int64_t>(amount > 0 ? 1 : 0, std::llround(amount * kUnitsPerWhole));
    if (resource->units > 0) spec.resources.push_back(std::move(resource));
  }
}

// Calls `ready` once no argument is to come any more.
template <class SubmissionPtr, class Ready>
void WhenArgumentsReady(const SubmissionPtr& submission, Ready ready) {
  const ClusterObjectPtr unready = submission->arguments.FirstUnready();
  if (unready == nullptr) return ready();
  unready->OnReady([submission, ready] { WhenArgumentsReady(submission, ready); });
}

Result<void> StatusIn(const Result<Frame>& reply) {
  if (!reply) return Fail(reply.error());
  const auto status = Parse<wire::StatusReplyT>(reply->body);
  if (!status) return Fail(status.error());
  return FromStatus(*status->status);
}

// The raylet's answer to a creation whose caller waits for it, and may have given up when it comes. Any thread.
class AwaitedAnswer {
 public:
  // False: too late.
  bool Set(const Result<void>& answer) RAYLET_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    if (given_up_) return false;
    answer_ = answer;
    answered_.NotifyAll();
    return true;
  }
  // Nothing at the deadline: the caller has given up.
  std::optional<Result<void>> Await(Deadline deadline) RAYLET_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    while (!answer_ && !deadline.Passed()) answered_.Wait(mutex_, deadline);
    given_up_ = !answer_;
    return answer_;
  }

 private:
  Mutex mutex_;
  ConditionVariable answered_;
  std::optional<Result<void>> answer_ RAYLET_GUARDED_BY(mutex_);
  bool given_up_ RAYLET_GUARDED_BY(mutex_) = false;
};

}  // namespace

// One submission on its way; shared with whatever it waits for.
struct TaskSubmitter::Submission {
  wire::TaskSpecT spec;
  CallArguments arguments;
  ClusterObjectPtr result;  // of a task
  TaskRoom::Place place;    // of a task, until PendingTasks has it
  ActorLinkPtr actor;       // of a creation
};

TaskSubmitter::SubmissionPtr TaskSubmitter::NewSubmission(const std::string& function, CallArguments arguments,
                                                          const ray::internal::CallOptions& options) {
  auto submission = std::make_shared<Submission>();
  submission->arguments = std::move(arguments);
  wire::TaskSpecT& spec = submission->spec;
  spec.id = std::make_unique<wire::Id20>(ToWire(parts_.link.NewId()));
  spec.name = options.name.empty() ? function : options.name;
  spec.function = function;
  spec.owner = parts_.link.process();
  spec.depth = depth_.load(std::memory_order_relaxed);
  spec.owner_store_client = parts_.store.client_number();
  return submission;
}

// The values of the arguments; a failure where one of them has no value.
FailurePtr TaskSubmitter::FillArguments(Submission& submission) {
  std::vector<ValueView> views;
  if (FailurePtr failure = submission.arguments.Resolve(views); failure != nullptr) return failure;
  wire::TaskSpecT& spec = submission.spec;
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
  spec.lend = parts_.ownership.Lend(0, submission.arguments.TakeHolds());
  return nullptr;
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

void TaskSubmitter::SendTask(Submission& submission) {
  if (FailurePtr failure = FillArguments(submission); failure != nullptr) {
    { const TaskRoom::Place given_back = std::move(submission.place); }
    submission.result->FulfilFailed(std::move(failure));
    return pump_.WakeWaiters();  // also those for its room
  }
  const TaskId id = submission.result->id();
  tasks_.Add(id, PendingCall{submission.result, submission.spec.lend}, std::move(submission.place));
  const auto sent = parts_.link.Send(wire::RayletMessage::SubmitTask, submission.spec);
  if (!sent) FailUnsent(id, submission.spec.name, sent.error());
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
  for (const TaskRoom::Returned& task : room_.TakeReturned()) {
    const auto sent = parts_.link.SendEncoded(wire::RayletMessage::SubmitTask, task.spec);
    if (!sent) FailUnsent(task.id, task.name, sent.error());
  }
}

void TaskSubmitter::SendCreation(const SubmissionPtr& submission, CreationAnswer answer) {
  const wire::TaskSpecT& spec = submission->spec;
  const auto id = FromWire<TaskId>(*spec.id);
  // With restarts the arguments are needed as long as the actor lives; without, until its
  // constructor has ended.
  if (spec.actor->max_restarts == 0 && spec.lend != 0) tasks_.Add(id, PendingCall{nullptr, spec.lend}, {});
  parts_.link.Request(wire::RayletMessage::CreateActor, Encode(spec),
                      [this, id, answer = std::move(answer)](Result<Frame> reply, std::vector<UniqueFd>&) {
                        const Result<void> outcome = StatusIn(reply);
                        if (!outcome) tasks_.Take(id);  // no constructor will end
                        answer(outcome);
                      });
  submission->actor->Created(spec.lend);
}

// Sends the creation and waits for the answer. A raylet that has stopped for a while still hears of the creation when
// it goes on, and of its end right behind it. Where that found no room in the socket, the late answer says it again.
Result<void> TaskSubmitter::CreateNow(const SubmissionPtr& submission) {
  const auto answer = std::make_shared<AwaitedAnswer>();
  const ActorId actor = submission->actor->id();
  SendCreation(submission, [this, answer, actor](const Result<void>& outcome) {
    if (!answer->Set(outcome) && outcome) Kill(actor);
  });
  const Duration patience = parts_.link.patience();
  if (const auto outcome = answer->Await(Deadline::After(patience))) return *outcome;
  tasks_.Take(FromWire<TaskId>(*submission->spec.id));  // no constructor will end
  Kill(actor);
  return Fail(ErrorCode::kTimedOut,
              StrCat("the raylet did not answer the creation of actor ", submission->spec.name, " within ",
                     std::chrono::duration_cast<std::chrono::seconds>(patience).count(),
                     " s: see whether it is stopped, and create the actor again; this creation has been called off"));
}

void TaskSubmitter::Kill(const ActorId& actor) {
  wire::KillActorRequestT request;
  request.actor = std::make_unique<wire::Id20>(ToWire(actor));
  request.no_restart = true;
  static_cast<void>(parts_.link.Send(wire::RayletMessage::KillActor, request));  // a raylet that is gone ended it
}

ClusterObjectPtr TaskSubmitter::SubmitTask(const std::string& function, CallArguments arguments,
                                           const ray::internal::CallOptions& options) {
  TaskRoom::Place place = WaitForRoom(arguments.inline_bytes());
  const SubmissionPtr submission = NewSubmission(function, std::move(arguments), options);
  submission->place = std::move(place);
  submission->spec.max_retries = options.max_retries < 0 ? kDefaultTaskRetries : options.max_retries;
  FillResources(submission->spec, options, 1);
  submission->result =
      std::make_shared<ClusterObject>(parts_, FromWire<ObjectId>(*submission->spec.id), /*owned=*/true);
  ClusterObjectPtr result = submission->result;
  WhenArgumentsReady(submission, [this, submission] { SendTask(*submission); });
  return result;
}

ActorLinkPtr TaskSubmitter::CreateActor(const std::string& factory, CallArguments arguments,
                                        const ray::internal::CallOptions& options) {
  // The raylet checks too, but the name travels twice, and the message would be too long first.
  if (const auto sound = CheckName("an actor's name", options.name); !sound) Throw(sound.error());
  const SubmissionPtr submission = NewSubmission(factory, std::move(arguments), options);
  FillResources(submission->spec, options, 0);
  auto& actor = submission->spec.actor;
  actor = std::make_unique<wire::ActorSpecT>();
  const ActorId id = parts_.link.NewActor();
  actor->id = std::make_unique<wire::Id20>(ToWire(id));
  actor->name = options.name;
  actor->actor_namespace = options.actor_namespace.empty() ? parts_.link.actor_namespace() : options.actor_namespace;
  actor->max_restarts = options.max_restarts;
  actor->detached = options.detached;
  actor->max_concurrency = options.max_concurrency;
  submission->actor = actors_.Make(id, /*ends_with_handles=*/!options.detached);
  ActorLinkPtr link = submission->actor;
  const auto fail = [link](const FailurePtr& failure) { link->Die(AsActorDied(*failure, false)); };
  const auto refuse = [link](const Error& error) {
    link->Die(MakeFailure(wire::FailureKind::ActorDied, error.message));
  };
  if (submission->arguments.FirstUnready() == nullptr) {
    if (const FailurePtr failure = FillArguments(*submission); failure != nullptr) {
      fail(failure);
      return link;
    }
    if (const Result<void> created = CreateNow(submission); !created) {
      refuse(created.error());
      actors_.Forget(*link);  // nobody gets a handle of it
      throw ray::internal::RayException(created.error().message);
    }
    return link;
  }
  link->SetCreating();
  WhenArgumentsReady(submission, [this, submission, fail, refuse] {
    if (const FailurePtr failure = FillArguments(*submission); failure != nullptr) return fail(failure);
    SendCreation(submission, [refuse](const Result<void>& outcome) {
      if (!outcome) refuse(outcome.error());
    });
  });
  return link;
}

}  // namespace raylet::client
