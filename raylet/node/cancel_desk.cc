#include "raylet/node/cancel_desk.h"

#include <algorithm>

#include "base/strings.h"
#include "raylet/actors/failure_text.h"

namespace raylet {
namespace {

Bytes CancelledResult(const TaskId& task) { return EncodeFailedResult(task, CancelledBeforeItBegan()); }

}  // namespace

CancelDesk::CancelDesk(Scheduler& scheduler, const Services& services)
    : loop_(services.loop),
      clock_(services.clock),
      scheduler_(scheduler),
      post_(services.post),
      house_(services.house) {}

Result<void> CancelDesk::OnCancelTask(ProcessSession& session, const Frame& frame) {
  const auto request = Parse<wire::CancelRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const auto task = FromWire<TaskId>(*request->task);
  const ProcessId owner = session.identity->process;
  if (OwnerOf(task) != owner)
    return Fail(ErrorCode::kProtocolError,
                StrCat("process ", owner, " cancels task ", task.hex(), ", which it does not own"));
  if (request->lease != 0) {
    CancelLeased(owner, *request);
    return {};
  }
  if (request->actor != nullptr) {
    CancelCall(FromWire<ActorId>(*request->actor), task);
    return {};
  }
  const auto place = scheduler_.PlaceOf(task);
  if (!place || place->of_actor || !place->from.IsNil()) return {};  // it has ended
  if (place->worker != 0) {
    scheduler_.MarkCancelled(task);
    TellWorker(place->worker, task, request->force);
    if (request->force) Force(place->worker, task, 0);
    return {};
  }
  if (!place->node.IsNil() && !request->force) {
    wire::TaskNoticeT notice;
    notice.task = std::make_unique<wire::Id20>(ToWire(task));
    scheduler_.MarkCancelled(task);
    post_.Tell(place->node, wire::WorkMessage::TaskCancelled, Encode(notice));
    return {};
  }
  // Another machine that runs it ends the worker.
  if (scheduler_.Cancel(task)) session.SendBytes(wire::RayletMessage::TaskResult, 0, CancelledResult(task));
  return {};
}

// The scheduler does not know the tasks of a lease. The caller has seen that the worker began this one.
void CancelDesk::CancelLeased(ProcessId owner, const wire::CancelRequestT& request) {
  const auto task = FromWire<TaskId>(*request.task);
  for (const auto& [id, worker] : scheduler_.workers()) {
    if (worker.lease != request.lease || worker.leased_to != owner) continue;
    TellWorker(id, task, request.force);
    if (request.force) Force(id, task, request.lease);
    return;
  }
}

// Calls lie in channels, which no raylet reads. The worker of the actor looks whether it has the call.
void CancelDesk::CancelCall(const ActorId& actor, const TaskId& call) {
  for (const auto& [id, worker] : scheduler_.workers())
    if (worker.hosts != nullptr && worker.hosts->actor->id == actor)
      return TellWorker(id, call, /*force=*/false, std::make_unique<wire::Id20>(ToWire(actor)));
  const ClusterView::Node* const home = post_.IsHome(actor) ? nullptr : post_.HomeOf(actor);
  const NodeId next = home != nullptr ? home->id : scheduler_.HostOf(actor);
  if (next.IsNil()) return;  // it has ended, or is on its way
  wire::TaskNoticeT notice;
  notice.task = std::make_unique<wire::Id20>(ToWire(call));
  notice.actor = std::make_unique<wire::Id20>(ToWire(actor));
  post_.Tell(next, wire::WorkMessage::TaskCancelled, Encode(notice));
}

Result<void> CancelDesk::OnTaskCancelled(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::TaskNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto task = FromWire<TaskId>(*notice->task);
  if (notice->actor != nullptr) {
    CancelCall(FromWire<ActorId>(*notice->actor), task);
    return {};
  }
  const auto place = scheduler_.PlaceOf(task);
  if (!place || place->from != node || place->of_actor) return {};  // its result is on its way, or it went back
  if (place->worker != 0) {
    scheduler_.MarkCancelled(task);
    TellWorker(place->worker, task, /*force=*/false);
  } else if (scheduler_.Cancel(task)) {
    post_.Tell(node, wire::WorkMessage::ForwardedResult, CancelledResult(task));
  }
  return {};
}

void CancelDesk::TellWorker(WorkerId worker, const TaskId& task, bool force, std::unique_ptr<wire::Id20> actor) {
  ProcessSession* const session = house_.SessionOf(worker);
  if (session == nullptr) return;  // its end is on its way
  wire::CancelNoticeT notice;
  notice.task = std::make_unique<wire::Id20>(ToWire(task));
  notice.force = force;
  notice.actor = std::move(actor);
  session->Send(wire::RayletMessage::TaskCancelled, 0, notice);
}

// ---- force

// The worker ends itself where it runs the task. One that is stopped cannot.
void CancelDesk::Force(WorkerId worker, const TaskId& task, WorkerLeaseId lease) {
  forced_.try_emplace(worker, Forced{task, lease, clock_.Now() + kForcePatience});
  SetTimer();
}

void CancelDesk::SetTimer() {
  if (std::exchange(waiting_, true)) return;
  timer_ = Timer(loop_, kForcePatience, {}, [this] {
    waiting_ = false;
    LookAtForced();
  });
}

bool CancelDesk::StillHas(WorkerId worker, const Forced& forced) {
  const auto found = scheduler_.workers().find(worker);
  if (found == scheduler_.workers().end()) return false;
  if (forced.lease != 0) return found->second.lease == forced.lease;
  return found->second.task != nullptr && found->second.task->task->id == forced.task;
}

void CancelDesk::LookAtForced() {
  const TimePoint now = clock_.Now();
  std::erase_if(forced_, [&](const auto& each) {
    const auto& [worker, forced] = each;
    if (!StillHas(worker, forced)) return true;
    if (now < forced.until) return false;
    house_.Kill(worker);
    return true;
  });
  if (!forced_.empty()) SetTimer();
}

}  // namespace raylet
