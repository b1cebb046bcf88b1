#include "raylet/node/message_table.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "fbs/peer_messages.h"

namespace raylet {
namespace {

// Names the member of the desk that hears the message of a row.
template <auto kMember>
struct Heard;
template <class Desk, Result<void> (Desk::*kMember)(ProcessSession&, const Frame&)>
struct Heard<kMember> {
  static Result<void> By(const Desks& desks, ProcessSession& session, const Frame& frame) {
    return (std::get<Desk&>(desks).*kMember)(session, frame);
  }
};
template <class Desk, Result<void> (Desk::*kMember)(const NodeId&, const Frame&)>
struct Heard<kMember> {
  static Result<void> By(const Desks& desks, const NodeId& node, const Frame& frame) {
    return (std::get<Desk&>(desks).*kMember)(node, frame);
  }
};

// ---- messages of processes

using wire::RayletMessage;
struct ProcessRow {
  RayletMessage type;
  Result<void> (*hear)(const Desks&, ProcessSession&, const Frame&);
};
// The row of a message that only the raylet sends, or that comes before a process has registered.
constexpr decltype(ProcessRow::hear) kOnlySent = nullptr;
constexpr ProcessRow kProcessRows[] = {
    {RayletMessage::Register, kOnlySent},
    {RayletMessage::RegisterReply, kOnlySent},
    {RayletMessage::Ready, Heard<&TaskDesk::OnReady>::By},
    {RayletMessage::SubmitTask, Heard<&TaskDesk::OnSubmitTask>::By},
    {RayletMessage::RunTask, kOnlySent},
    {RayletMessage::TaskDone, Heard<&TaskDesk::OnTaskDone>::By},
    {RayletMessage::TaskResult, kOnlySent},
    {RayletMessage::CreateActor, Heard<&ActorDesk::OnCreateActor>::By},
    {RayletMessage::OpenChannel, Heard<&ChannelDesk::OnOpenChannel>::By},
    {RayletMessage::OpenChannelReply, kOnlySent},
    {RayletMessage::ChannelOpened, kOnlySent},
    {RayletMessage::ChannelClosed, kOnlySent},
    {RayletMessage::ActorChanged, kOnlySent},
    {RayletMessage::KillActor, Heard<&ActorDesk::OnKillActor>::By},
    {RayletMessage::ReleaseActor, Heard<&ActorDesk::OnReleaseActor>::By},
    {RayletMessage::FindActor, Heard<&ActorFinder::OnFindActor>::By},
    {RayletMessage::FindActorReply, kOnlySent},
    {RayletMessage::Blocked, Heard<&TaskDesk::OnBlocked>::By},
    {RayletMessage::ReleaseLend, Heard<&ObjectDesk::OnReleaseLend>::By},
    {RayletMessage::ProcessDied, kOnlySent},
    {RayletMessage::Exit, kOnlySent},
    {RayletMessage::ActorExited, Heard<&ActorDesk::OnActorExited>::By},
    {RayletMessage::StatusReply, kOnlySent},
    {RayletMessage::NodeStatus, Heard<&NodeStatus::OnNodeStatus>::By},
    {RayletMessage::NodeStatusReply, kOnlySent},
    {RayletMessage::WantObjects, Heard<&ObjectDesk::OnWantObjects>::By},
    {RayletMessage::ObjectLost, kOnlySent},
    {RayletMessage::FreeObjects, Heard<&ObjectDesk::OnFreeObjects>::By},
    {RayletMessage::ChannelReleased, Heard<&CallChannels::OnChannelReleased>::By},
    {RayletMessage::RecallTasks, kOnlySent},
    {RayletMessage::TasksRecalled, Heard<&TaskDesk::OnTasksRecalled>::By},
    {RayletMessage::ClaimObjects, Heard<&ClaimDesk::OnClaimObjects>::By},
    {RayletMessage::ReleaseClaims, Heard<&ClaimDesk::OnReleaseClaims>::By},
    {RayletMessage::ClaimsMade, Heard<&ClaimDesk::OnClaimsMade>::By},
    {RayletMessage::HoldObjects, kOnlySent},
    {RayletMessage::LetGoObjects, kOnlySent},
    {RayletMessage::ProcessSettled, kOnlySent},
    {RayletMessage::Warn, kOnlySent},
    {RayletMessage::ObjectsSealed, kOnlySent},
    {RayletMessage::TaskReturned, kOnlySent},
    {RayletMessage::RoomForTasks, kOnlySent},
    {RayletMessage::ClaimsHeld, Heard<&ClaimDesk::OnClaimsHeld>::By},
    {RayletMessage::LeaseWorker, Heard<&LeaseDesk::OnLeaseWorker>::By},
    {RayletMessage::LeaseReply, kOnlySent},
    {RayletMessage::LeaseOpened, kOnlySent},
    {RayletMessage::LeaseShut, kOnlySent},
    {RayletMessage::LeaseReturned, Heard<&LeaseDesk::OnLeaseReturned>::By},
    {RayletMessage::LeaseLost, kOnlySent},
    {RayletMessage::ListNodes, Heard<&NodeStatus::OnListNodes>::By},
    {RayletMessage::ListNodesReply, kOnlySent},
    {RayletMessage::CancelTask, Heard<&CancelDesk::OnCancelTask>::By},
    {RayletMessage::TaskCancelled, kOnlySent},
    {RayletMessage::ReportMetrics, Heard<&MetricsDesk::OnReportMetrics>::By},
    {RayletMessage::CreatePlacementGroup, Heard<&GroupDesk::OnCreate>::By},
    {RayletMessage::RemovePlacementGroup, Heard<&GroupDesk::OnRemove>::By},
    {RayletMessage::FindPlacementGroups, Heard<&GroupFinder::OnFind>::By},
    {RayletMessage::FindPlacementGroupsReply, kOnlySent},
    {RayletMessage::AwaitPlacementGroup, Heard<&GroupFinder::OnAwait>::By},
    {RayletMessage::Stays, Heard<&TaskDesk::OnStays>::By},
    {RayletMessage::UseDevices, kOnlySent},
};

// Whether the row of message n is row n - 1.
constexpr bool EachProcessMessageHasItsRow() {
  for (size_t i = 0; i < std::size(kProcessRows); ++i)
    if (static_cast<size_t>(kProcessRows[i].type) != i + 1) return false;
  return std::size(kProcessRows) == static_cast<size_t>(RayletMessage::MAX);
}
static_assert(EachProcessMessageHasItsRow(), "say in kProcessRows which desk hears the new message");

// ---- messages of other raylets

struct MachineRow {
  uint16_t number;
  Result<void> (*hear)(const Desks&, const NodeId&, const Frame&);

  template <class Type>
  constexpr MachineRow(Type type, decltype(hear) hears) : number(static_cast<uint16_t>(type)), hear(hears) {}
};
using wire::ActorMessage;
using wire::ChannelMessage;
using wire::GroupMessage;
using wire::ObjectMessage;
using wire::WorkMessage;
constexpr MachineRow kMachineRows[] = {
    {ChannelMessage::OpenRelay, Heard<&CallChannels::OnRelayMessage>::By},
    {ChannelMessage::RelayRecords, Heard<&CallChannels::OnRelayMessage>::By},
    {ChannelMessage::RelayCredit, Heard<&CallChannels::OnRelayMessage>::By},
    {ChannelMessage::CloseRelay, Heard<&CallChannels::OnRelayMessage>::By},
    {ChannelMessage::RelayEnded, Heard<&CallChannels::OnRelayMessage>::By},
    {ObjectMessage::Locate, Heard<&ObjectDesk::OnObjectMessage>::By},
    {ObjectMessage::Located, Heard<&ObjectDesk::OnObjectMessage>::By},
    {ObjectMessage::CopiesSealed, Heard<&ObjectDesk::OnObjectMessage>::By},
    {ObjectMessage::CopiesDropped, Heard<&ObjectDesk::OnObjectMessage>::By},
    {ObjectMessage::FreeCopies, Heard<&ObjectDesk::OnObjectMessage>::By},
    {WorkMessage::JobProgram, Heard<&ForwardDesk::OnJobProgram>::By},
    {WorkMessage::JobWarning, Heard<&ForwardDesk::OnJobWarning>::By},
    {WorkMessage::JobEnded, Heard<&Ends::OnJobEnded>::By},
    {WorkMessage::ForwardTask, Heard<&ForwardDesk::OnForwardTask>::By},
    {WorkMessage::ForwardedResult, Heard<&ForwardDesk::OnForwardedResult>::By},
    {WorkMessage::TaskReturned, Heard<&ForwardDesk::OnTaskReturned>::By},
    {WorkMessage::CancelTask, Heard<&ForwardDesk::OnCancelTask>::By},
    {WorkMessage::TaskCancelled, Heard<&CancelDesk::OnTaskCancelled>::By},
    {WorkMessage::ProcessEnded, Heard<&Ends::OnProcessEnded>::By},
    {WorkMessage::LendReleased, Heard<&ObjectDesk::OnLendReleased>::By},
    {WorkMessage::RecallTasks, Heard<&ForwardDesk::OnRecallTasks>::By},
    {WorkMessage::TasksRecalled, Heard<&ForwardDesk::OnTasksRecalled>::By},
    {WorkMessage::ClaimObjects, Heard<&ClaimDesk::OnPeerClaims>::By},
    {WorkMessage::ClaimsTaken, Heard<&ClaimDesk::OnPeerClaimsTaken>::By},
    {WorkMessage::ReleaseClaims, Heard<&ClaimDesk::OnPeerReleasesClaims>::By},
    {WorkMessage::EndHeard, Heard<&ClaimDesk::OnEndHeard>::By},
    {WorkMessage::EndClaimed, Heard<&ClaimDesk::OnEndClaimed>::By},
    {WorkMessage::ProcessSettled, Heard<&ClaimDesk::OnPeerSettled>::By},
    {ActorMessage::EndActor, Heard<&ActorDesk::OnEndActor>::By},
    {ActorMessage::ActorGone, Heard<&ActorDesk::OnActorGone>::By},
    {ActorMessage::ActorLeaves, Heard<&ActorDesk::OnActorLeaves>::By},
    {ActorMessage::KillRemote, Heard<&ActorDesk::OnKillRemote>::By},
    {ActorMessage::OpenActor, Heard<&ChannelDesk::OnOpenActor>::By},
    {ActorMessage::ActorGranted, Heard<&ChannelDesk::OnActorGranted>::By},
    {ActorMessage::ActorRefused, Heard<&ChannelDesk::OnActorRefused>::By},
    {ActorMessage::WatchedActorChanged, Heard<&ChannelDesk::OnWatchedActorChanged>::By},
    {ActorMessage::WatchActor, Heard<&ActorFinder::OnWatchActor>::By},
    {GroupMessage::PrepareBundles, Heard<&GroupDesk::OnPrepareBundles>::By},
    {GroupMessage::BundlesPrepared, Heard<&GroupDesk::OnBundlesPrepared>::By},
    {GroupMessage::CommitBundles, Heard<&GroupDesk::OnCommitBundles>::By},
    {GroupMessage::BundlesCommitted, Heard<&GroupDesk::OnBundlesCommitted>::By},
    {GroupMessage::ReturnBundles, Heard<&GroupDesk::OnReturnBundles>::By},
    {GroupMessage::WatchGroup, Heard<&GroupDesk::OnWatchGroup>::By},
    {GroupMessage::GroupChanged, Heard<&GroupDesk::OnGroupChanged>::By},
    {GroupMessage::RemoveGroup, Heard<&GroupDesk::OnRemoveGroup>::By},
    {GroupMessage::FindGroups, Heard<&GroupFinder::OnFindGroups>::By},
    {GroupMessage::GroupsFound, Heard<&GroupFinder::OnGroupsFound>::By},
};

constexpr size_t kMachineNumbers = static_cast<size_t>(GroupMessage::MAX) + 1;
constexpr auto kMachineByNumber = [] {
  std::array<decltype(MachineRow::hear), kMachineNumbers> hearers{};
  for (const MachineRow& row : kMachineRows) hearers[row.number] = row.hear;
  return hearers;
}();

template <class Type>
constexpr bool HaveRows(Type first, Type last) {
  for (auto number = static_cast<size_t>(first); number <= static_cast<size_t>(last); ++number)
    if (kMachineByNumber[number] == nullptr) return false;
  return true;
}
static_assert(HaveRows(ChannelMessage::OpenRelay, ChannelMessage::MAX) &&
                  HaveRows(ObjectMessage::Locate, ObjectMessage::MAX) &&
                  HaveRows(WorkMessage::JobProgram, WorkMessage::MAX) &&
                  HaveRows(ActorMessage::EndActor, ActorMessage::MAX) &&
                  HaveRows(GroupMessage::PrepareBundles, GroupMessage::MAX),
              "say in kMachineRows which desk hears the new message");

}  // namespace

Result<void> HearProcess(const Desks& desks, ProcessSession& session, const Frame& frame) {
  const uint16_t number = frame.header.type;
  if (session.identity->kind == wire::ProcessKind::Tool && number != static_cast<uint16_t>(RayletMessage::NodeStatus))
    return Fail(ErrorCode::kProtocolError, StrCat("a tool sent message ", number, ", and may only ask for NodeStatus"));
  const auto hear = number == 0 || number > std::size(kProcessRows) ? kOnlySent : kProcessRows[number - 1].hear;
  if (hear == nullptr) return Fail(ErrorCode::kProtocolError, StrCat("message ", number, " is not for a raylet"));
  return hear(desks, session, frame);
}

Result<void> HearMachine(const Desks& desks, const NodeId& node, const Frame& frame) {
  const uint16_t number = frame.header.type;
  const auto hear = number < kMachineNumbers ? kMachineByNumber[number] : nullptr;
  if (hear == nullptr)
    return Fail(ErrorCode::kProtocolError,
                StrCat("message ", number, " is none that this raylet (", kBuild, ") takes from another"));
  return hear(desks, node, frame);
}

}  // namespace raylet
