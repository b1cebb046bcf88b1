// A valid, well-filled message of every type, for the round-trip tests and as a start for the fuzz targets. A new table
// gets a Fill here; without one the tests do not compile.
#pragma once

#include "fbs/messages.h"
#include "fbs/peer_object_generated.h"

namespace raylet::samples {

// ---- the store's messages
void Fill(wire::StoreHelloT& message);
void Fill(wire::StoreHelloReplyT& message);
void Fill(wire::CreateRequestT& message);
void Fill(wire::CreateReplyT& message);
void Fill(wire::CreateAndSealRequestT& message);
void Fill(wire::CreateAndSealBatchRequestT& message);
void Fill(wire::SubscribeRequestT& message);
void Fill(wire::SubscribeReplyT& message);
void Fill(wire::OpenPutRingRequestT& message);
void Fill(wire::TakeOverRequestT& message);
void Fill(wire::TakeOverReplyT& message);
void Fill(wire::PutRingReplyT& message);
void Fill(wire::ObjectNoticeT& message);
void Fill(wire::RestoreRequestT& message);
void Fill(wire::ListUsesRequestT& message);
void Fill(wire::ListUsesReplyT& message);
void Fill(wire::SetOptionsRequestT& message);
void Fill(wire::DebugTextRequestT& message);
void Fill(wire::DebugTextReplyT& message);
void Fill(wire::IdRequestT& message);
void Fill(wire::IdsRequestT& message);
void Fill(wire::DeleteReplyT& message);
void Fill(wire::EvictRequestT& message);
void Fill(wire::EvictReplyT& message);
void Fill(wire::SealedNoticeT& message);
void Fill(wire::InheritedNoticeT& message);
void Fill(wire::SetOwnerRequestT& message);
void Fill(wire::DeleteMadeByRequestT& message);
void Fill(wire::StatusReplyT& message);

// ---- the raylet's messages
void Fill(wire::RegisterRequestT& message);
void Fill(wire::RegisterReplyT& message);
void Fill(wire::ReadyNoticeT& message);
void Fill(wire::FailureT& message);
void Fill(wire::TaskSpecT& message);
void Fill(wire::TaskResultT& message);
void Fill(wire::ActorRequestT& message);
void Fill(wire::OpenChannelRequestT& message);
void Fill(wire::OpenChannelReplyT& message);
void Fill(wire::ChannelNoticeT& message);
void Fill(wire::ActorNoticeT& message);
void Fill(wire::KillActorRequestT& message);
void Fill(wire::FindActorRequestT& message);
void Fill(wire::FindActorReplyT& message);
void Fill(wire::BlockedNoticeT& message);
void Fill(wire::ExitNoticeT& message);
void Fill(wire::StaysNoticeT& message);
void Fill(wire::DevicesNoticeT& message);
void Fill(wire::LendNoticeT& message);
void Fill(wire::ProcessNoticeT& message);
void Fill(wire::LeaseRequestT& message);
void Fill(wire::LeaseReplyT& message);
void Fill(wire::LeaseNoticeT& message);
void Fill(wire::LeaseLostNoticeT& message);
void Fill(wire::TasksNoticeT& message);
void Fill(wire::ClaimNoticeT& message);
void Fill(wire::SealedObjectsNoticeT& message);
void Fill(wire::ClaimsMadeNoticeT& message);
void Fill(wire::ClaimsHeldNoticeT& message);
void Fill(wire::SettledNoticeT& message);
void Fill(wire::EndClaimedNoticeT& message);
void Fill(wire::JobWarningNoticeT& message);
void Fill(wire::WarningNoticeT& message);
void Fill(wire::EmptyNoticeT& message);
void Fill(wire::NodeStatusReplyT& message);
void Fill(wire::NodeResourceT& message);
void Fill(wire::NodeEntryT& message);
void Fill(wire::ListNodesReplyT& message);
void Fill(wire::MetricTagT& message);
void Fill(wire::MetricReportT& message);
void Fill(wire::MetricsNoticeT& message);
void Fill(wire::CancelRequestT& message);
void Fill(wire::CancelNoticeT& message);
void Fill(wire::WantNoticeT& message);
void Fill(wire::BundleT& message);
void Fill(wire::PlacementGroupT& message);
void Fill(wire::PlacementGroupRequestT& message);
void Fill(wire::FindPlacementGroupsRequestT& message);
void Fill(wire::FindPlacementGroupsReplyT& message);
void Fill(wire::AwaitPlacementGroupRequestT& message);
void Fill(wire::LostNoticeT& message);
void Fill(wire::FreeNoticeT& message);

// ---- call channels between raylets
void Fill(wire::OpenRelayRequestT& message);
void Fill(wire::RelayedRecordsT& message);
void Fill(wire::RelayCreditNoticeT& message);
void Fill(wire::RelayNoticeT& message);
void Fill(wire::RelayEndedNoticeT& message);

// ---- work between raylets
void Fill(wire::JobProgramNoticeT& message);
void Fill(wire::JobNoticeT& message);
void Fill(wire::ForwardedTaskT& message);
void Fill(wire::TaskNoticeT& message);
void Fill(wire::TaskReturnedNoticeT& message);
void Fill(wire::ReleasedLendT& message);
void Fill(wire::PeerClaimsT& message);
void Fill(wire::ClaimsTakenNoticeT& message);

// ---- actors between raylets
void Fill(wire::EndActorNoticeT& message);
void Fill(wire::ActorGoneNoticeT& message);
void Fill(wire::OpenActorRequestT& message);
void Fill(wire::ActorGrantedNoticeT& message);
void Fill(wire::ActorRefusedNoticeT& message);
void Fill(wire::WatchActorRequestT& message);
void Fill(wire::WatchedActorNoticeT& message);

// ---- placement groups between raylets
void Fill(wire::PrepareBundlesRequestT& message);
void Fill(wire::BundlesNoticeT& message);
void Fill(wire::BundlesAnswerT& message);
void Fill(wire::FindGroupsRequestT& message);
void Fill(wire::GroupsFoundNoticeT& message);

// ---- objects between raylets
void Fill(wire::LocateRequestT& message);
void Fill(wire::LocatedNoticeT& message);
void Fill(wire::CopiesSealedNoticeT& message);
void Fill(wire::CopiesDroppedNoticeT& message);
void Fill(wire::FreeCopiesNoticeT& message);
void Fill(wire::PullRequestT& message);
void Fill(wire::PullHeaderT& message);
void Fill(wire::PullRefusedT& message);
void Fill(wire::PullPriorityNoticeT& message);

// ---- the messages between raylets
void Fill(wire::PeerHelloT& message);
void Fill(wire::PeerProofT& message);
void Fill(wire::PeerAcceptedT& message);
void Fill(wire::PeerRefusedT& message);
void Fill(wire::PeerAckT& message);
void Fill(wire::PeerHeartbeatT& message);
void Fill(wire::PeerGoodbyeT& message);
void Fill(wire::PeerIntroductionT& message);

template <class Message>
Message Make() {
  Message message;
  Fill(message);
  return message;
}

}  // namespace raylet::samples
