// ProcessEvents: passes on the events of the ProcessDoor. A process that comes is entered with the jobs or the workers,
// its messages go to the desks, and its end goes to Ends. Owned by the Raylet; loop thread only.
#pragma once

#include <string>

#include "raylet/node/message_table.h"

namespace raylet {

class ProcessEvents final : public ProcessDoor::Events {
 public:
  // All outlive it.
  ProcessEvents(const RayletOptions& options, const Services& services, const Desks& desks);

  Result<void> OnProcessComes(pid_t pid, wire::RegisterRequestT& request, ProcessSession::Identity& identity,
                              wire::RegisterReplyT& reply) override;
  Result<void> OnProcessMessage(ProcessSession& session, wire::RayletMessage type, const Frame& frame) override;
  void OnProcessBehind(ProcessId process, bool behind) override;
  void OnProcessGone(const ProcessSession::Identity& identity, const Error& reason) override;

 private:
  void TellConfig(JobId job, wire::RegisterReplyT& reply) const;
  Result<void> WorkerComes(uint64_t token, ProcessSession::Identity& identity);
  Result<void> DriverComes(pid_t pid, wire::RegisterRequestT& request, ProcessSession::Identity& identity);

  const RayletOptions& options_;
  const Services services_;
  const Desks desks_;
};

}  // namespace raylet
