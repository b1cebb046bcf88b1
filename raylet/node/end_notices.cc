#include "raylet/node/end_notices.h"

#include <map>

namespace raylet {
namespace {

Bytes SettledBody(std::vector<ProcessId> processes) {
  wire::SettledNoticeT notice;
  notice.processes = std::move(processes);
  return Encode(notice);
}

}  // namespace

void EndNotices::Meet(ProcessId ours, ProcessId other) {
  const bool ended = ended_.Contains(other);
  const bool settled = ended && !unsettled_.contains(other);
  if (!settled) met_.Meet(ours, other);
  if (!ended) return;
  wire::ProcessNoticeT notice;
  notice.process = other;
  notice.failure = std::make_unique<wire::FailureT>();
  Tell({ours}, notice);
  ProcessSession* const session = settled ? door_.SessionOf(ours) : nullptr;
  if (session != nullptr) session->SendBytes(wire::RayletMessage::ProcessSettled, 0, SettledBody({other}));
}

// Another number is nobody's, and nobody's end is ever told.
void EndNotices::WaitsFor(ProcessId ours, ProcessId owner) {
  if (door_.IsConnected(owner) || door_.HasGone(owner)) Meet(ours, owner);
}

ProcessSet EndNotices::All() const {
  ProcessSet all;
  for (const auto& [process, session] : door_.processes()) all.insert(process);
  return all;
}

// Those that end with their job rely on nothing any more.
ProcessSet EndNotices::Tell(const ProcessSet& whom, const wire::ProcessNoticeT& notice) {
  ProcessSet told;
  if (whom.empty()) return told;
  const Bytes body = Encode(notice);
  for (const ProcessId process : whom) {
    ProcessSession* const session = door_.SessionOf(process);
    if (session == nullptr) {
      // Its socket is closed, and its end comes when the process has been waited for.
      if (post_.IsOurs(process) && !ended_.Contains(process)) told.insert(process);
      continue;
    }
    if (session->identity->kind == wire::ProcessKind::Tool || house_.EndsWithItsJob(session->identity->worker))
      continue;
    session->SendBytes(wire::RayletMessage::ProcessDied, 0, body);
    told.insert(process);
  }
  return told;
}

ProcessSet EndNotices::TellEnded(const ProcessSet& processes, const wire::ProcessNoticeT& notice) {
  for (const ProcessId process : processes) {
    ended_.Add(process);
    unsettled_.insert(process);
  }
  // Meetings that only the other machine has seen.
  const ProcessId everybody = AllProcessesOf(post_.machine());
  for (const ProcessId process : notice.met) {
    if (process == everybody)
      for (const ProcessId each : All()) met_.Meet(each, notice.process);
    else if (post_.IsOurs(process) && door_.IsConnected(process))
      met_.Meet(process, notice.process);
  }
  wire::ProcessNoticeT told;
  told.process = notice.process;
  told.failure = std::make_unique<wire::FailureT>(*notice.failure);
  told.also = notice.also;
  return Tell(met_.Of(processes), told);
}

ProcessSet EndNotices::TellMachine(const wire::ProcessNoticeT& notice) { return Tell(All(), notice); }

void EndNotices::TellPeers(const ProcessSet& processes, wire::ProcessNoticeT notice) {
  std::map<MachineNumber, std::vector<ProcessId>> met;
  for (const ProcessId process : met_.Of(processes))
    if (!post_.IsOurs(process)) met[MachineOf(process)].push_back(process);
  for (const auto& [id, node] : post_.view().nodes()) {
    if (node.state == NodeState::kDead) continue;
    notice.met = std::move(met[node.machine]);
    post_.Tell(id, wire::WorkMessage::ProcessEnded, Encode(notice));
  }
}

void EndNotices::MachineLost(MachineNumber machine) {
  met_.MachineLost(machine);
  std::erase_if(unsettled_, [machine](ProcessId process) { return MachineOf(process) == machine; });
}

void EndNotices::TellSettled(const ProcessSet& processes) {
  const bool machine = processes.size() == 1 && StandsForMachine(*processes.begin());
  const Bytes body = SettledBody({processes.begin(), processes.end()});
  for (const ProcessId process : machine ? All() : met_.Of(processes)) {
    ProcessSession* const session = door_.SessionOf(process);
    if (session != nullptr && session->identity->kind != wire::ProcessKind::Tool)
      session->SendBytes(wire::RayletMessage::ProcessSettled, 0, body);
  }
  if (machine) return;
  met_.Forget(processes);
  for (const ProcessId process : processes) unsettled_.erase(process);
}

}  // namespace raylet
