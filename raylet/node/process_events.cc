#include "raylet/node/process_events.h"

#include "base/log.h"

namespace raylet {

ProcessEvents::ProcessEvents(const RayletOptions& options, const Services& services, const Desks& desks)
    : options_(options), services_(services), desks_(desks) {}

Result<void> ProcessEvents::OnProcessComes(pid_t pid, wire::RegisterRequestT& request,
                                           ProcessSession::Identity& identity, wire::RegisterReplyT& reply) {
  switch (identity.kind) {
    case wire::ProcessKind::Worker:
      RAYLET_RETURN_IF_ERROR(WorkerComes(request.startup_token, identity));
      reply.environment = services_.house.Get(identity.worker).environment;
      break;
    case wire::ProcessKind::Driver: RAYLET_RETURN_IF_ERROR(DriverComes(pid, request, identity)); break;
    case wire::ProcessKind::Tool:
      reply.socket = options_.socket;
      reply.addresses = services_.post.KnownAddresses();
      break;
  }
  if (identity.kind != wire::ProcessKind::Tool) TellConfig(identity.job, reply);
  reply.node = std::make_unique<wire::Id20>(ToWire(services_.post.node()));
  reply.store_socket = options_.store_socket;
  reply.logs_folder = options_.logs_folder;
  reply.heir = services_.store.heir();
  reply.tasks_max = options_.limits.tasks_per_process_max();
  reply.task_bytes_max = options_.limits.task_bytes_per_process_max();
  reply.clustered = services_.post.joined();
  return {};
}

void ProcessEvents::TellConfig(JobId id, wire::RegisterReplyT& reply) const {
  const Jobs::Job& job = services_.jobs.Get(id);
  reply.actor_namespace = job.actor_namespace;
  reply.detached_actors = job.program.detached_actors;
  reply.code_search_path = job.program.code_search_path;
}

Result<void> ProcessEvents::WorkerComes(uint64_t token, ProcessSession::Identity& identity) {
  const auto worker = services_.house.Registered(token);
  if (!worker) return Fail(worker.error());
  identity.worker = *worker;
  identity.job = services_.house.Get(*worker).job;
  services_.house.Connected(*worker, identity.process);
  return {};
}

Result<void> ProcessEvents::DriverComes(pid_t pid, wire::RegisterRequestT& request,
                                        ProcessSession::Identity& identity) {
  if (request.executable.empty())
    return Fail(ErrorCode::kInvalid, "a driver registers without its executable, which its workers need");
  auto file = OpenProgramOf(pid, request.executable);
  WorkerProgram program{std::move(request.executable),
                        std::move(request.arguments),
                        std::move(request.environment),
                        std::move(request.working_directory),
                        std::move(file),
                        request.detached_actors,
                        std::move(request.code_search_path)};
  identity.job = services_.jobs.Begin(identity.process, pid, std::move(request.actor_namespace), std::move(program));
  RAYLET_LOG(kInfo, "job ", identity.job, ": driver ", pid, " (", services_.jobs.Get(identity.job).program.executable,
             ") has come");
  return {};
}

Result<void> ProcessEvents::OnProcessMessage(ProcessSession& session, wire::RayletMessage, const Frame& frame) {
  if (services_.decisions.stopped() || services_.house.EndsWithItsJob(session.identity->worker)) return {};
  const auto heard = HearProcess(desks_, session, frame);
  services_.decisions.CarryOutSoon();
  return heard;
}

void ProcessEvents::OnProcessBehind(ProcessId process, bool behind) {
  if (services_.decisions.stopped()) return;
  std::get<TaskDesk&>(desks_).OnProcessBehind(process, behind);
  services_.decisions.CarryOutSoon();
}

void ProcessEvents::OnProcessGone(const ProcessSession::Identity& identity, const Error& reason) {
  std::get<Ends&>(desks_).ProcessGone(identity, reason);
}

}  // namespace raylet
