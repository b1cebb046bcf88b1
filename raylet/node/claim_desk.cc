#include "raylet/node/claim_desk.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "base/strings.h"
#include "fbs/id_lists.h"

namespace raylet {
namespace {

// The other machines do not learn at the same moment that a machine is lost.
constexpr std::chrono::seconds kMachineGrace{2};
constexpr Duration kLook = std::chrono::seconds(1);  // while ends wait for answers
constexpr uint32_t kRayletsOwnNumber = UINT32_MAX;
constexpr size_t kWaitsForToldMax = 100'000;  // so that a message can name them

Error FreedBefore() { return {ErrorCode::kNotFound, "its owner had freed it before it was claimed"}; }
Error NotKept() { return {ErrorCode::kNotFound, "the process that owned it has ended, and nobody kept it"}; }

ActorId ActorIdOf(const ObjectId& id) { return ActorId::FromBinary(id.binary()); }
ObjectId ObjectIdOf(const ActorId& id) { return ObjectId::FromBinary(id.binary()); }

}  // namespace

ClaimDesk::ClaimDesk(const Services& services, ClaimedActors& actors, ClaimedObjects& objects)
    : loop_(services.loop),
      clock_(services.clock, kLook),
      store_(services.store),
      post_(services.post),
      door_(services.door),
      decisions_(services.decisions),
      notices_(services.end_notices),
      actors_(actors),
      objects_(objects),
      self_(ProcessIdOf(services.post.machine(), kRayletsOwnNumber)) {}

// ---- messages of processes

Result<void> ClaimDesk::OnClaimObjects(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::ClaimNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const ProcessId process = session.identity->process;
  const ClaimCause cause = notice->unlent ? ClaimCause::kNoLender : ClaimCause::kEnd;
  Claim(process, FromWire(notice->objects), cause);
  CarryOut(cause);
  if (frame.header.request_id == 0) return {};
  const ClaimsUnderWay::Question question{process, frame.header.request_id, notice->owner};
  if (!under_way_.Add(question))
    TellArrived(question,
                Fail(ErrorCode::kLimit, StrCat("the process has made ", ClaimsUnderWay::kQuestionsMax,
                                               " ObjectRefs from ids, the limit, whose owners have not answered yet")));
  AnswerQuestions();
  return {};
}

Result<void> ClaimDesk::OnReleaseClaims(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::ClaimNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  Release(session.identity->process, FromWire(notice->objects));
  CarryOut();
  return {};
}

Result<void> ClaimDesk::OnClaimsMade(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::ClaimsMadeNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  TakeAnswer({notice->process, session.identity->process, {}});
  Settle();
  return {};
}

Result<void> ClaimDesk::OnClaimsHeld(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::ClaimsHeldNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const ProcessId owner = session.identity->process;
  if (!under_way_.Holds(owner, notice->number))
    return Fail(ErrorCode::kProtocolError, StrCat("process ", owner, " holds objects that nobody told it to hold"));
  for (const ObjectId& object : FromWire(notice->gone)) {
    if (OwnerOf(object) != owner) continue;
    book_.Freed(object);
    // Those of other machines hear it by ClaimsTaken.
    for (const ProcessId claimer : book_.ClaimersOf(object)) objects_.TellLost(claimer, object, WhyLost(object));
  }
  ClaimsArrived();
  return {};
}

// ---- claims

void ClaimDesk::Claim(ProcessId by, std::span<const ObjectId> objects, ClaimCause cause) {
  std::map<NodeId, std::vector<ObjectId>> elsewhere;
  const auto lose = [&](const ObjectId& object) { objects_.TellLost(by, object, WhyLost(object)); };
  for (const ObjectId& object : objects) {
    const ProcessId owner = OwnerOf(object);
    if (post_.IsOurs(owner)) {
      if (!ClaimHere(by, object, cause)) lose(object);
    } else if (const ClusterView::Node* const node = post_.view().NodeOf(owner);
               node != nullptr && node->state != NodeState::kDead) {
      elsewhere[node->id].push_back(object);
    } else if (cause == ClaimCause::kEnd || !MayBeWanted(object)) {
      lose(object);
    }
  }
  for (const auto& [node, all] : elsewhere) {
    InPieces(ToWire(all), [&, to = node](std::vector<wire::Id20> piece) {
      const uint64_t number = under_way_.Sent(to, by, FromWire(piece), cause);
      TellPeer(to, wire::WorkMessage::ClaimObjects, by, number, std::move(piece), cause);
    });
  }
}

// A Get or Wait of an object that was found by its id says better why it does not come. It finds objects of the store
// that no process of ray:: has made. Another machine may be known soon.
bool ClaimDesk::MayBeWanted(const ObjectId& object) const {
  return post_.view().NodeOf(OwnerOf(object)) == nullptr && (objects_.Travel() || store_.MetadataOf(object));
}

void ClaimDesk::TellPeer(const NodeId& node, wire::WorkMessage type, ProcessId by, uint64_t number,
                         std::vector<wire::Id20> objects, ClaimCause cause) {
  wire::PeerClaimsT message;
  message.by = by;
  message.number = number;
  message.unlent = cause == ClaimCause::kNoLender;
  message.objects = std::move(objects);
  post_.Tell(node, type, Encode(message));
}

bool ClaimDesk::ClaimHere(ProcessId by, const ObjectId& object, ClaimCause cause) {
  const ProcessId owner = OwnerOf(object);
  if (cause == ClaimCause::kEnd) under_way_.EndWaitsFor(owner);
  if (notices_.IsSettled(by)) return true;  // too late: it refers to nothing any more
  return book_.Claim(by, object, door_.IsConnected(owner));
}

Error ClaimDesk::WhyLost(const ObjectId& object) const { return book_.IsFreed(object) ? FreedBefore() : NotKept(); }

void ClaimDesk::Release(ProcessId by, std::span<const ObjectId> objects) {
  std::map<NodeId, std::vector<ObjectId>> elsewhere;
  for (const ObjectId& object : objects) {
    if (post_.IsOurs(OwnerOf(object)))
      book_.Release(by, object);
    else if (const ClusterView::Node* const node = post_.view().NodeOf(OwnerOf(object)))
      elsewhere[node->id].push_back(object);
  }
  for (const auto& [node, all] : elsewhere) {
    InPieces(ToWire(all), [&, to = node](std::vector<wire::Id20> piece) {
      TellPeer(to, wire::WorkMessage::ReleaseClaims, by, 0, std::move(piece), ClaimCause::kNoLender);
    });
  }
}

// ---- messages of other machines

Result<void> ClaimDesk::OnPeerClaims(const NodeId& node, const Frame& frame) {
  const auto claims = Parse<wire::PeerClaimsT>(frame.body);
  if (!claims) return Fail(claims.error());
  RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, claims->by));
  const ClaimCause cause = claims->unlent ? ClaimCause::kNoLender : ClaimCause::kEnd;
  ClaimsUnderWay::Taken taken{node, claims->number, {}, {}, {}};
  for (const ObjectId& object : FromWire(claims->objects)) {
    if (!post_.IsOurs(OwnerOf(object))) continue;
    const bool claimed = ClaimHere(claims->by, object, cause);
    (claimed ? taken.claimed : book_.IsFreed(object) ? taken.freed : taken.lost).push_back(object);
  }
  CarryOut(cause);
  under_way_.Add(std::move(taken));
  TellTaken();
  return {};
}

// The end of an owner that did not answer may let very many claims count at once.
void ClaimDesk::TellTaken() {
  bool more = false;
  for (const ClaimsUnderWay::Taken& each : under_way_.TakeTaken(kObjectsPerMessage, more)) {
    wire::ClaimsTakenNoticeT taken;
    taken.number = each.number;
    taken.freed = ToWire(each.freed);
    for (const ObjectId& object : each.claimed)  // its owner has answered meanwhile
      if (book_.IsFreed(object)) taken.freed.push_back(ToWire(object));
    taken.lost = ToWire(each.lost);
    post_.Tell(each.node, wire::WorkMessage::ClaimsTaken, Encode(taken));
  }
  if (more) work_off_.Ask();
}

Result<void> ClaimDesk::OnPeerReleasesClaims(const NodeId& node, const Frame& frame) {
  const auto claims = Parse<wire::PeerClaimsT>(frame.body);
  if (!claims) return Fail(claims.error());
  RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, claims->by));
  for (const ObjectId& object : FromWire(claims->objects)) book_.Release(claims->by, object);
  CarryOut();
  return {};
}

Result<void> ClaimDesk::OnPeerClaimsTaken(const NodeId& node, const Frame& frame) {
  const auto taken = Parse<wire::ClaimsTakenNoticeT>(frame.body);
  if (!taken) return Fail(taken.error());
  const auto by = under_way_.TakenBy(node, taken->number);
  if (!by) return {};
  const auto tell = [&](const std::vector<wire::Id20>& objects, const Error& why) {
    for (const ObjectId& object : FromWire(objects))
      if (post_.MachineNumberOf(node) == MachineOf(OwnerOf(object))) objects_.TellLost(*by, object, why);
  };
  tell(taken->freed, FreedBefore());
  tell(taken->lost, NotKept());
  ClaimsArrived();
  return {};
}

Result<void> ClaimDesk::OnEndHeard(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::ClaimsMadeNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  TakeAnswer({notice->process, 0, node});
  Settle();
  return {};
}

Result<void> ClaimDesk::OnEndClaimed(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::EndClaimedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, notice->process));
  settlements_.ClaimedElsewhere(notice->process, {notice->waits_for.begin(), notice->waits_for.end()});
  Settle();
  return {};
}

Result<void> ClaimDesk::OnPeerSettled(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::SettledNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const ProcessSet processes(notice->processes.begin(), notice->processes.end());
  for (const ProcessId process : processes) RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, process));
  objects_.KeptWhenSettled(node, FromWire(notice->kept));
  if (processes.empty()) return {};  // more messages of this end follow
  for (const ProcessId process : processes) {
    settlements_.SettledElsewhere(process);
    book_.ClaimerSettled(process);
    objects_.RemoteOwnerSettled(process);
  }
  CarryOutEnds();
  notices_.TellSettled(processes);
  Settle();
  return {};
}

// ---- objects of ended processes

// The store may say so only after the end is settled.
void ClaimDesk::OnInherited(std::span<const ObjectId> objects) {
  std::vector<ObjectId> nobodys;
  for (const ObjectId& object : objects) {
    const ProcessId owner = OwnerOf(object);
    if (!book_.IsKept(object) && !door_.IsConnected(owner))
      nobodys.push_back(object);
    else if (!notices_.IsSettled(owner))
      inherited_[owner].push_back(object);
  }
  Free(nobodys);
  CarryOut();
}

// The object may refer to others, which the dead owner kept until now.
void ClaimDesk::Adopt(const ObjectId& object) {
  if (referred_.contains(object)) return;
  std::vector<ObjectId> referred;
  if (actors_.Lives(ActorIdOf(object)))
    referred = actors_.StoredArgumentsOf(ActorIdOf(object));  // the actor may start again
  else
    referred = objects_.ReferencesIn(object);
  if (referred.empty()) return;
  referred_.emplace(object, referred);
  Claim(self_, referred, ClaimCause::kEnd);
}

void ClaimDesk::Free(std::span<const ObjectId> objects) {
  if (objects.empty()) return;
  for (const ObjectId& object : objects) {
    const auto referred = referred_.find(object);
    if (referred == referred_.end()) continue;
    const std::vector<ObjectId> released = std::move(referred->second);
    referred_.erase(referred);
    Release(self_, released);
  }
  for (const ObjectId& object : objects) actors_.LetGo(ActorIdOf(object));
  store_.Delete(objects);
  objects_.FreeAdopted(objects);
}

// The ends of processes with many objects leave work for several turns. Nobody claims an object of a settled owner that
// is unclaimed, so it may go at any time from now on.
void ClaimDesk::WorkOff() {
  if (decisions_.stopped()) return;
  std::vector<ObjectId> some = unclaimed_.Take(kObjectsPerTurn, std::bind_front(&ClaimedObjects::KnownOf, &objects_));
  std::erase_if(some, [this](const ObjectId& object) { return book_.IsKept(object); });
  Free(some);
  TellNews();
  CarryOutEnds();
  ClaimsArrived();
}

void ClaimDesk::TellNews() {
  const auto kept_of = std::bind_front(&ClaimBook::ClaimedOf, &book_);
  for (const wire::SettledNoticeT& notice : news_.Take(kObjectsPerMessage, kept_of))
    post_.TellAll(wire::WorkMessage::ProcessSettled, Encode(notice));
  if (!news_.empty()) work_off_.Ask();
}

void ClaimDesk::CarryOutEnds() {
  book_.WorkOff(kObjectsPerTurn);
  CarryOut();
  if (!book_.adopts())
    for (const ProcessId key : std::exchange(ends_to_answer_, {})) TakeAnswer({key, self_, {}});
  if (book_.works() || !unclaimed_.empty()) work_off_.Ask();
}

void ClaimDesk::CarryOut(ClaimCause cause) {
  for (;;) {
    ClaimBook::Orders orders = book_.TakeOrders();
    if (orders.empty()) return;
    const auto tell = [this, cause](ProcessId owner, wire::RayletMessage type, const std::vector<ObjectId>& all) {
      ProcessSession* const session = door_.SessionOf(owner);
      if (session == nullptr) return;  // OwnersEnded comes next
      InPieces(ToWire(all), [&](std::vector<wire::Id20> piece) {
        wire::ClaimNoticeT notice;
        notice.objects = std::move(piece);
        if (type == wire::RayletMessage::HoldObjects) notice.number = under_way_.ToldToHold(owner, cause);
        session->Send(type, 0, notice);
      });
    };
    for (const auto& [owner, all] : orders.hold) tell(owner, wire::RayletMessage::HoldObjects, all);
    for (const auto& [owner, all] : orders.let_go) tell(owner, wire::RayletMessage::LetGoObjects, all);
    if (!orders.adopted.empty()) cause = ClaimCause::kEnd;  // of what the adopted objects refer to
    for (const ObjectId& object : orders.adopted) Adopt(object);
    if (orders.freed.size() <= kObjectsPerTurn) {
      Free(orders.freed);
      continue;
    }
    unclaimed_.Add(std::move(orders.freed));
    work_off_.Ask();
  }
}

// ---- ends

void ClaimDesk::OwnersEnded(const ProcessSet& processes) {
  under_way_.OwnersEnded(processes);
  for (const ProcessId process : processes) book_.OwnerEnded(process);
  CarryOutEnds();
}

void ClaimDesk::ProcessesEnded(ProcessId key, ProcessSet processes, ProcessSet asked) {
  under_way_.ProcessesEnded(processes);
  settlements_.ProcessesEnded(processes);
  Settlements::End end;
  end.processes = std::move(processes);
  end.asked = std::move(asked);
  end.asked.insert(self_);  // this raylet may have claims under way for objects that it adopted
  for (const auto& [id, node] : post_.view().nodes())
    if (node.state != NodeState::kDead) end.machines.insert(id);
  settlements_.Open(key, std::move(end), clock_.Now());
  ends_to_answer_.push_back(key);
  CarryOutEnds();
  ClaimsArrived();
}

void ClaimDesk::EndedElsewhere(const NodeId& node, ProcessId key, ProcessSet processes, ProcessSet asked) {
  Settlements::End end;
  end.processes = std::move(processes);
  end.asked = std::move(asked);
  end.settled_by = node;
  settlements_.Open(key, std::move(end), clock_.Now());
  Settle();
}

void ClaimDesk::LossTold(const NodeId& node, MachineNumber machine, ProcessSet asked) {
  under_way_.MachineLost(node);
  const ProcessId all = AllProcessesOf(machine);
  settlements_.LossTold(node, all);
  Settlements::End end;
  end.processes = {all};
  end.asked = std::move(asked);
  end.not_before = clock_.Now() + kMachineGrace;
  settlements_.Open(all, std::move(end), clock_.Now());
  ClaimsArrived();
}

void ClaimDesk::MachineReached(MachineNumber machine) {
  settlements_.Force(AllProcessesOf(machine));
  Settle();
}

void ClaimDesk::TakeAnswer(const ClaimsUnderWay::Answer& answer) {
  under_way_.Add(answer);
  CountAnswers();
}

void ClaimDesk::CountAnswers() {
  for (const ClaimsUnderWay::Answer& answer : under_way_.TakeAnswers()) {
    if (answer.node)
      settlements_.MachineClaimed(answer.key, *answer.node);
    else
      settlements_.Answered(answer.key, answer.by);
  }
}

void ClaimDesk::AnswerQuestions() {
  for (const ClaimsUnderWay::Question& each : under_way_.TakeQuestions()) TellArrived(each, {});
}

void ClaimDesk::TellArrived(const ClaimsUnderWay::Question& question, const Result<void>& outcome) {
  if (ProcessSession* const session = door_.SessionOf(question.by))
    session->SendBytes(wire::RayletMessage::StatusReply, question.request, EncodeStatusReply(outcome));
}

void ClaimDesk::ClaimsArrived() {
  AnswerQuestions();
  TellTaken();
  CountAnswers();
  Settle();
}

void ClaimDesk::Settle() {
  for (const Settlements::Step& step : settlements_.TakeSteps(clock_.Now())) Take(step);
  const auto next = settlements_.NextTime();
  if (!next) return timer_.Cancel();
  const Duration wait = std::clamp<Duration>(*next - clock_.Now(), Duration::zero(), kLook);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(wait);
  timer_ = Timer(loop_, left, std::chrono::milliseconds(0), [this] {
    timer_.Cancel();
    if (!decisions_.stopped()) Settle();
  });
}

void ClaimDesk::Take(const Settlements::Step& step) {
  switch (step.kind) {
    case Settlements::Step::kClaimedHere: {
      wire::ClaimsMadeNoticeT heard;
      heard.process = step.key;
      return post_.Tell(*step.end.settled_by, wire::WorkMessage::EndHeard, Encode(heard));
    }
    case Settlements::Step::kClaimed: {
      if (step.waits_for.size() > kWaitsForToldMax) return;  // they hear when it is settled
      wire::EndClaimedNoticeT claimed;
      claimed.process = step.key;
      claimed.waits_for.assign(step.waits_for.begin(), step.waits_for.end());
      return post_.TellAll(wire::WorkMessage::EndClaimed, Encode(claimed));
    }
    case Settlements::Step::kSettled: return Settled(step.key, step.end);
  }
}

void ClaimDesk::Settled(ProcessId key, const Settlements::End& end) {
  if (StandsForMachine(key)) {
    book_.MachineSettled(MachineOf(key));
    CarryOutEnds();
    return notices_.TellSettled(end.processes);
  }
  // In one pass: there may be many processes, and many actors.
  std::unordered_map<ProcessId, std::vector<ObjectId>> actors;
  for (const ActorId& actor : actors_.CreatedBy(end.processes)) actors[CreatorOf(actor)].push_back(ObjectIdOf(actor));
  for (const ProcessId process : end.processes) {
    auto inherited = inherited_.extract(process);
    unclaimed_.AddOwner(process, inherited ? std::move(inherited.mapped()) : std::vector<ObjectId>());
    book_.OwnerSettled(process, actors[process]);
    book_.ClaimerSettled(process);
  }
  actors_.CreatorsSettled(end.processes, [this](const ActorId& actor) { return book_.IsKept(ObjectIdOf(actor)); });
  CarryOutEnds();
  notices_.TellSettled(end.processes);
  news_.Add({end.processes.begin(), end.processes.end()});
  TellNews();
}

}  // namespace raylet
