#include "raylet/node/forward_desk.h"

#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "base/strings.h"
#include "fbs/id_lists.h"
#include "raylet/node/driver_warnings.h"
#include "raylet/node/inbound.h"

namespace raylet {
namespace {

Result<TaskId> CheckTaskId(const wire::Id20& id) {
  const auto task = FromWire<TaskId>(id);
  if (task.IsNil()) return Fail(ErrorCode::kProtocolError, "a message about a task names none");
  return task;
}

Bytes TasksNotice(const std::vector<TaskId>& tasks) {
  wire::TasksNoticeT notice;
  for (const TaskId& task : tasks) notice.tasks.push_back(ToWire(task));
  return Encode(notice);
}

// Without the object API, which would copy the spec once more.
Bytes EncodeForwardedTask(JobId job, const Bytes& spec) {
  flatbuffers::FlatBufferBuilder builder(spec.size() + 64);
  const auto vector = builder.CreateVector(reinterpret_cast<const uint8_t*>(spec.data()), spec.size());
  builder.Finish(wire::CreateForwardedTask(builder, job, vector));
  const auto* const begin = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return Bytes(begin, begin + builder.GetSize());
}

}  // namespace

ForwardDesk::ForwardDesk(Scheduler& scheduler, const Services& services)
    : scheduler_(scheduler),
      store_(services.store),
      post_(services.post),
      door_(services.door),
      house_(services.house),
      jobs_(services.jobs) {}

void ForwardDesk::Wire(CreationEvents& creations, TravellingObjects& objects) {
  creations_ = &creations;
  objects_ = &objects;
}

// ---- work of other machines

Result<void> ForwardDesk::OnJobProgram(const NodeId& node, const Frame& frame) {
  auto notice = Parse<wire::JobProgramNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  if (notice->executable.empty()) return Fail(ErrorCode::kProtocolError, "a job comes without its program");
  const JobId id = jobs_.BeginFrom(
      node, notice->job, std::move(notice->actor_namespace),
      {std::move(notice->executable), std::move(notice->arguments), std::move(notice->environment),
       std::move(notice->working_directory), nullptr, notice->detached_actors, std::move(notice->code_search_path)});
  RAYLET_LOG(kInfo, "job ", id, ": ", jobs_.Get(id).program.executable, ", job ", notice->job, " at ",
             post_.AddressOf(node));
  return {};
}

Result<void> ForwardDesk::OnJobWarning(const NodeId& node, const Frame& frame) {
  return PassWarningOn(jobs_, door_, post_, node, frame);
}

void ForwardDesk::Refuse(const NodeId& node, const TaskId& task, const Error& why) {
  RAYLET_LOG(kWarning, "task ", task.hex(), " of ", post_.AddressOf(node), " goes back: ", why.message);
  wire::TaskReturnedNoticeT notice;
  notice.task = std::make_unique<wire::Id20>(ToWire(task));
  notice.status = MakeWireStatus(why);
  post_.Tell(node, wire::WorkMessage::TaskReturned, Encode(notice));
}

Result<void> ForwardDesk::OnForwardTask(const NodeId& node, const Frame& frame) {
  const MessageView<wire::ForwardedTask> forwarded(frame.body);
  if (!forwarded) return Fail(forwarded.error());
  const auto job = jobs_.FindFrom(node, forwarded->job());
  if (!job || jobs_.Get(*job).ended)
    return Fail(ErrorCode::kProtocolError, StrCat("a task comes of job ", forwarded->job(), ", whose program has not"));
  ForwardingNode from;
  from.node = node;
  from.machine = post_.MachineNumberOf(node);
  from.store_client = store_.client_number();
  from.job = *job;
  from.job_namespace = jobs_.Get(*job).actor_namespace;
  const auto parsed =
      ParseForwardedTask(std::as_bytes(std::span(forwarded->spec()->data(), forwarded->spec()->size())), from);
  if (!parsed) return Fail(parsed.error());
  const TaskPtr task = parsed->task;
  if (!parsed->sound) {
    Refuse(node, task->id, parsed->sound.error());
  } else if (!scheduler_.ledger().CanEverMeet(task->resources)) {
    Refuse(node, task->id,
           {ErrorCode::kInvalid,
            StrCat("this machine will never have what it asks for: ", scheduler_.ledger().WhatLacks(task->resources))});
  } else {
    return Submit(task);
  }
  return {};
}

Result<void> ForwardDesk::Submit(const TaskPtr& task) {
  const auto submitted = scheduler_.Submit(task);
  if (submitted) {
    if (task->CreatesActor()) creations_->OnCreationCame(task);
  } else if (submitted.error().code != ErrorCode::kAlreadyExists) {
    Refuse(task->from, task->id, submitted.error());
  } else {
    const auto early = early_.find(task->id);
    const bool sent_twice = early != early_.end() && early->second->job == task->job;
    if (sent_twice || !scheduler_.EndsWithoutResult(task->id))
      return Fail(ErrorCode::kProtocolError, submitted.error().message);
    early_.insert_or_assign(task->id, task);
  }
  return {};
}

void ForwardDesk::SubmitEarly() {
  if (early_.empty()) return;
  std::vector<TaskPtr> due;
  std::erase_if(early_, [&](const auto& each) {
    if (scheduler_.PlaceOf(each.first)) return false;
    due.push_back(each.second);
    return true;
  });
  for (const TaskPtr& task : due) {
    if (!IsAwaited(*task)) continue;
    RAYLET_CHECK(Submit(task), "a task that nobody knows is known");
  }
}

bool ForwardDesk::IsAwaited(const Task& task) const {
  const Jobs::Job* const job = jobs_.Find(task.job);
  return job != nullptr && !job->from_lost;
}

void ForwardDesk::TellResult(const Task& task, Bytes body) {
  if (IsAwaited(task)) post_.Tell(task.from, wire::WorkMessage::ForwardedResult, std::move(body));
}

void ForwardDesk::MachineLost(const NodeId& node) {
  std::erase_if(early_, [&](const auto& each) { return each.second->from == node; });
}

void ForwardDesk::SendResult(const Task& task, const wire::TaskResult& result, Bytes body) {
  const wire::Value& value = *result.result();
  if (value.kind() == wire::ValueKind::Stored) objects_->ResultHere(FromWire<ObjectId>(*value.id()));
  if (value.kind() == wire::ValueKind::Failed) {
    // The failure may speak of a store or a worker, so it names this machine.
    wire::TaskResultT failed;
    result.UnPackTo(&failed);
    SayWhere(*failed.result->failure, post_.OwnAddress());
    body = Encode(failed);
  }
  TellResult(task, std::move(body));
}

Result<void> ForwardDesk::OnCancelTask(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::TaskNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto task = CheckTaskId(*notice->task);
  if (!task) return Fail(task.error());
  if (const auto early = early_.find(*task); early != early_.end() && early->second->from == node) {
    early_.erase(early);
    return {};
  }
  if (const WorkerId worker = scheduler_.Abandon(node, *task); worker != 0) house_.Kill(worker);
  return {};
}

Result<void> ForwardDesk::OnRecallTasks(const NodeId& node, const Frame&) {
  scheduler_.RecalledBy(node);
  ReturnRecalled early{node, {}};
  std::erase_if(early_, [&](const auto& each) {
    if (each.second->from != node) return false;
    early.tasks.push_back(each.first);
    return true;
  });
  if (!early.tasks.empty()) Return(early);
  return {};
}

void ForwardDesk::Return(const ReturnRecalled& returned) {
  post_.Tell(returned.node, wire::WorkMessage::TasksRecalled, TasksNotice(returned.tasks));
}

// ---- our work on other machines

void ForwardDesk::TellProgram(const NodeId& node, JobId id) {
  const Jobs::Job& job = jobs_.Get(id);
  wire::JobProgramNoticeT program;
  program.job = id;
  program.actor_namespace = job.actor_namespace;
  program.executable = job.program.executable;
  program.arguments = job.program.arguments;
  program.environment = job.program.environment;
  program.working_directory = job.program.working_directory;
  program.detached_actors = job.program.detached_actors;
  program.code_search_path = job.program.code_search_path;
  post_.Tell(node, wire::WorkMessage::JobProgram, Encode(program));
}

void ForwardDesk::Forward(const ForwardTask& forward) {
  std::optional<CreationEvents::Begins> begins;
  if (forward.task->CreatesActor()) {
    begins = creations_->OnCreationPlaced(*forward.task, Place::There(forward.node));
    if (!begins) {
      (void)scheduler_.ForwardedFinished(forward.node, forward.task->id, /*succeeded=*/false);
      return;
    }
  }
  if (jobs_.NeedsProgram(forward.task->job, forward.node)) TellProgram(forward.node, forward.task->job);
  const Bytes creation = begins ? CreationOf(*forward.task, begins->incarnation, /*lease=*/0) : Bytes();
  const Bytes& body = begins ? creation : forward.task->body;
  post_.Tell(forward.node, wire::WorkMessage::ForwardTask, EncodeForwardedTask(forward.task->job, body));
}

void ForwardDesk::Recall(const RecallForwarded& recall) {
  post_.Tell(recall.node, wire::WorkMessage::RecallTasks, Encode(wire::EmptyNoticeT()));
}

void ForwardDesk::Cancel(const CancelForwarded& cancel) {
  wire::TaskNoticeT notice;
  notice.task = std::make_unique<wire::Id20>(ToWire(cancel.task));
  post_.Tell(cancel.node, wire::WorkMessage::CancelTask, Encode(notice));
}

Result<void> ForwardDesk::OnForwardedResult(const NodeId& node, const Frame& frame) {
  const MessageView<wire::TaskResult> result(frame.body);
  if (!result) return Fail(result.error());
  const wire::Value& value = *result->result();
  RAYLET_RETURN_IF_ERROR(CheckValue(value));
  if (result->process() != 0) RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, result->process()));
  // Null: the owner has gone, or this machine has taken the task back. The worker that ran it lends the objects in the
  // result until it hears that the owner has ended.
  const bool failed = value.kind() == wire::ValueKind::Failed;
  const TaskPtr task = scheduler_.ForwardedFinished(node, FromWire<TaskId>(*result->id()), !failed);
  ProcessSession* const owner = task == nullptr ? nullptr : door_.SessionOf(task->owner);
  if (value.kind() == wire::ValueKind::Stored)
    objects_->ResultThere(node, FromWire<ObjectId>(*value.id()), FromWire(result->references()), owner != nullptr);
  if (owner != nullptr) owner->SendBytes(wire::RayletMessage::TaskResult, 0, frame.body);
  if (task == nullptr || !task->CreatesActor()) return {};
  if (failed)
    creations_->OnConstructorFailed(task->actor->id, FailureIn(value));
  else
    creations_->OnConstructed(task->actor->id, result->process());
  return {};
}

Result<void> ForwardDesk::OnTaskReturned(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::TaskReturnedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  RAYLET_LOG(kWarning, "a task comes back from ", post_.AddressOf(node), ": ", notice->status->message);
  const TaskPtr task = scheduler_.ForwardedReturned(node, FromWire<TaskId>(*notice->task));
  if (task != nullptr && task->CreatesActor()) creations_->OnCreationReturned(task->actor->id, node);
  return {};
}

Result<void> ForwardDesk::OnTasksRecalled(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::TasksNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  std::vector<TaskId> tasks;
  for (const auto& id : notice->tasks) tasks.push_back(FromWire<TaskId>(id));
  scheduler_.NodeGaveBack(node, tasks);
  return {};
}

}  // namespace raylet
