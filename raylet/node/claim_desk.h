// ClaimDesk: the objects and actors that ended processes have owned or lent. Each process that still refers to one
// claims it; the others are freed. A desk. It owns the ClaimBook, which has the claims of this machine's objects, the
// ClaimsUnderWay, which have not arrived, and the Settlements, the ends that still wait for claims. Owned by the
// Raylet; loop thread only.
//
// The road of a claim: a process claims at its raylet, which passes the claim on to the machine of the object's owner.
// There the owner holds the object, or the raylet does once the owner has ended: it adopts the object. An adopted
// object may refer to others, and the raylet claims those under its own process number. An actor is claimed as an
// object is, by its id: it lives for as long as somebody holds a handle.
// Always holds: an end is settled only after every claim that it led to has arrived where it goes. A living owner holds
// the object by then: it has answered. For what keeps the object until the end is settled may reach the owner on
// another road, and go first.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "base/awake_clock.h"
#include "base/later_turn.h"
#include "raylet/node/claimed_things.h"
#include "raylet/node/services.h"
#include "raylet/objects/claim_book.h"
#include "raylet/objects/claims_under_way.h"
#include "raylet/objects/settled_news.h"
#include "raylet/objects/settlements.h"
#include "raylet/objects/unclaimed_objects.h"

namespace raylet {

class ClaimDesk final : public KeptObjects {
 public:
  ClaimDesk(const Services& services, ClaimedActors& actors, ClaimedObjects& objects);

  // ---- messages of processes
  Result<void> OnClaimObjects(ProcessSession& session, const Frame& frame);
  Result<void> OnReleaseClaims(ProcessSession& session, const Frame& frame);
  Result<void> OnClaimsMade(ProcessSession& session, const Frame& frame);
  Result<void> OnClaimsHeld(ProcessSession& session, const Frame& frame);

  // ---- messages of other machines
  Result<void> OnPeerClaims(const NodeId& node, const Frame& frame);
  Result<void> OnPeerClaimsTaken(const NodeId& node, const Frame& frame);
  Result<void> OnPeerReleasesClaims(const NodeId& node, const Frame& frame);
  Result<void> OnEndHeard(const NodeId& node, const Frame& frame);
  Result<void> OnEndClaimed(const NodeId& node, const Frame& frame);
  Result<void> OnPeerSettled(const NodeId& node, const Frame& frame);

  // ---- events of the store: these objects of a process that has ended belong to the raylet
  void OnInherited(std::span<const ObjectId> objects);

  // ---- ends (see ends.h). `asked`: the processes of this machine that heard of it. `key`: what they were told
  void OwnersEnded(const ProcessSet& processes);  // of this machine; before anybody hears of it
  void ProcessesEnded(ProcessId key, ProcessSet processes, ProcessSet asked);
  void EndedElsewhere(const NodeId& node, ProcessId key, ProcessSet processes, ProcessSet asked);
  void MachineLost(const NodeId& node) { settlements_.MachineLost(node); }  // at once; its processes are asked later
  void LossTold(const NodeId& node, MachineNumber machine, ProcessSet asked);
  void MachineReached(MachineNumber machine);  // before its processes are told so

  // ---- for the object desk
  bool IsKept(const ObjectId& object) const override { return book_.IsKept(object); }

  // ---- for the status
  const ClaimBook& book() const { return book_; }
  size_t open_ends() const { return settlements_.open(); }

 private:
  void Claim(ProcessId by, std::span<const ObjectId> objects, ClaimCause cause);
  void Release(ProcessId by, std::span<const ObjectId> objects);
  void TellPeer(const NodeId& node, wire::WorkMessage type, ProcessId by, uint64_t number,
                std::vector<wire::Id20> objects, ClaimCause cause);
  bool ClaimHere(ProcessId by, const ObjectId& object, ClaimCause cause);
  bool MayBeWanted(const ObjectId& object) const;
  Error WhyLost(const ObjectId& object) const;
  void Adopt(const ObjectId& object);
  void Free(std::span<const ObjectId> objects);
  void CarryOut(ClaimCause cause = ClaimCause::kEnd);
  void CarryOutEnds();
  void WorkOff();
  void TellNews();
  void TakeAnswer(const ClaimsUnderWay::Answer& answer);
  void CountAnswers();
  void TellTaken();
  void AnswerQuestions();
  void TellArrived(const ClaimsUnderWay::Question& question, const Result<void>& outcome);
  void ClaimsArrived();
  void Settle();
  void Take(const Settlements::Step& step);
  void Settled(ProcessId key, const Settlements::End& end);

  Loop& loop_;
  const AwakeClock clock_;  // what came in during a stall of this raylet is read before an end runs out
  StoreLink& store_;
  PeerPost& post_;
  ProcessDoor& door_;
  DecisionLoop& decisions_;
  EndNotices& notices_;
  ClaimedActors& actors_;
  ClaimedObjects& objects_;
  const ProcessId self_;  // the raylet, where it claims what adopted objects refer to
  ClaimBook book_;
  Settlements settlements_;
  std::unordered_map<ProcessId, std::vector<ObjectId>> inherited_;  // from owners that are not settled
  std::unordered_map<ObjectId, std::vector<ObjectId>> referred_;    // by adopted objects; claimed for them
  UnclaimedObjects unclaimed_;
  SettledNews news_;
  std::vector<ProcessId> ends_to_answer_;  // by this raylet, once it has adopted what there is to adopt
  ClaimsUnderWay under_way_;
  Timer timer_;
  LaterTurn work_off_{loop_, [this] { WorkOff(); }};
};

}  // namespace raylet
