#include "raylet/node/lease_desk.h"

#include "base/log.h"
#include "base/strings.h"
#include "raylet/node/inbound.h"

namespace raylet {
namespace {

constexpr size_t kGatePageBytes = 4096;

wire::LeaseNoticeT NoticeOf(WorkerLeaseId lease) {
  wire::LeaseNoticeT notice;
  notice.lease = lease;
  return notice;
}

}  // namespace

LeaseDesk::LeaseDesk(Scheduler& scheduler, const Services& services)
    : scheduler_(scheduler), door_(services.door), house_(services.house), end_notices_(services.end_notices) {}

// ---- messages of processes

Result<void> LeaseDesk::OnLeaseWorker(ProcessSession& session, const Frame& frame) {
  const MessageView<wire::LeaseRequest> request(frame.body);
  if (!request) return Fail(request.error());
  const auto& identity = *session.identity;
  auto resources = ParseLeaseResources(*request);
  if (!resources) {
    Refuse({identity.process, frame.header.request_id});
    return {};
  }
  scheduler_.AskForWorker(
      {identity.process, frame.header.request_id, identity.job, std::min(request->depth(), kTaskDepthMax),
       *std::move(resources), std::string(TextOf(request->environment())),
       request->placement_group() == nullptr ? PlacementGroupId()
                                             : FromWire<PlacementGroupId>(*request->placement_group())});
  return {};
}

Result<void> LeaseDesk::OnLeaseReturned(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::LeaseNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  if (session.identity->kind != wire::ProcessKind::Worker)
    return Fail(ErrorCode::kProtocolError, "a driver returns a lease");
  RAYLET_RETURN_IF_ERROR(scheduler_.WorkerReturned(session.identity->worker, notice->lease));
  gates_.erase(notice->lease);
  return {};
}

// ---- decisions

void LeaseDesk::Grant(const GrantWorker& grant) {
  ProcessSession* const worker = house_.SessionOf(grant.worker);
  ProcessSession* const caller = door_.SessionOf(grant.caller);
  if (worker == nullptr) return Refuse({grant.caller, grant.request});  // its end is on its way
  const auto channel =
      caller != nullptr ? Open(grant, *worker, *caller) : Fail(ErrorCode::kDisconnected, "its caller has gone");
  if (!channel) {
    if (caller != nullptr) RAYLET_LOG(kError, "a worker could not be leased: ", channel.error().message);
    static_cast<void>(scheduler_.WorkerReturned(grant.worker, grant.lease));
    return Refuse({grant.caller, grant.request});
  }
  end_notices_.Meet(worker->identity->process, grant.caller);
  wire::LeaseNoticeT notice = NoticeOf(grant.lease);
  notice.caller = grant.caller;
  notice.caller_store_client = caller->identity->store_client;
  notice.depth = grant.depth;
  const int to_worker[] = {channel->get(), caller->identity->doorbell.get()};
  worker->Send(wire::RayletMessage::LeaseOpened, 0, notice, to_worker);
  wire::LeaseReplyT reply;
  reply.status = OkStatus();
  reply.lease = grant.lease;
  reply.process = worker->identity->process;
  const int to_caller[] = {channel->get(), worker->identity->doorbell.get()};
  caller->Send(wire::RayletMessage::LeaseReply, grant.request, reply, to_caller);
}

Result<UniqueFd> LeaseDesk::Open(const GrantWorker& grant, ProcessSession& worker, ProcessSession& caller) {
  if (!worker.identity->doorbell || !caller.identity->doorbell)
    return Fail(ErrorCode::kInvalid, "a process registered without a doorbell");
  auto fd = CreateMemfd(StrCat("raylet-lease-", grant.lease), LeaseChannelBytes(), /*reserve=*/false);
  if (!fd) return fd;
  {
    const auto all = Mapping::Map(fd->get(), LeaseChannelBytes(), Mapping::Access::kReadWrite);
    if (!all) return Fail(all.error());
    InitLeaseChannel({all->data(), all->size()});
  }
  auto page = Mapping::Map(fd->get(), kGatePageBytes, Mapping::Access::kReadWrite, GateOffset());
  if (!page) return Fail(std::move(page).error());
  gates_[grant.lease] = Gate{*std::move(page)};
  return fd;
}

void LeaseDesk::Refuse(const RefuseWorker& refuse) {
  ProcessSession* const caller = door_.SessionOf(refuse.caller);
  if (caller == nullptr) return;
  wire::LeaseReplyT reply;
  reply.status = MakeWireStatus({ErrorCode::kUnavailable, "no worker can be leased now"});
  caller->Send(wire::RayletMessage::LeaseReply, refuse.request, reply);
}

void LeaseDesk::Shut(const ShutLease& shut) {
  const auto gate = gates_.find(shut.lease);
  if (gate == gates_.end()) return;
  ShutGate(*gate->second);
  const wire::LeaseNoticeT notice = NoticeOf(shut.lease);
  if (ProcessSession* const worker = house_.SessionOf(shut.worker))
    worker->Send(wire::RayletMessage::LeaseShut, 0, notice);
  if (ProcessSession* const caller = door_.SessionOf(shut.caller))
    caller->Send(wire::RayletMessage::LeaseShut, 0, notice);
}

void LeaseDesk::Lose(const LoseLease& lost, const WorkerExit& exit) {
  const auto gate = gates_.find(lost.lease);
  if (gate == gates_.end()) return;
  ShutGate(*gate->second);
  gates_.erase(gate);
  ProcessSession* const caller = door_.SessionOf(lost.caller);
  if (caller == nullptr) return;
  wire::LeaseLostNoticeT notice;
  notice.lease = lost.lease;
  notice.failure = std::make_unique<wire::FailureT>(LeasedWorkerDied(exit));
  caller->Send(wire::RayletMessage::LeaseLost, 0, notice);
}

void LeaseDesk::Look() const {
  for (const auto& [lease, gate] : gates_)
    scheduler_.SawLease(lease, LastBegun(*gate), (*gate).pushed.load(std::memory_order_relaxed));
}

uint64_t LeaseDesk::CallsOf(WorkerLeaseId lease) const {
  const auto gate = gates_.find(lease);
  return gate == gates_.end() ? 0 : LastBegun(*gate->second);
}

}  // namespace raylet
