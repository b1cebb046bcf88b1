#include "raylet/node/object_desk.h"

#include "base/strings.h"
#include "fbs/id_lists.h"
#include "fbs/stored_value.h"
#include "raylet/actors/failure_text.h"

namespace raylet {
namespace {

// A bulk connection is closed after so many times the silence after which a machine is dead.
constexpr int kIdlePatience = 3;

}  // namespace

ObjectDesk::ObjectDesk(const Services& services)
    : loop_(services.loop),
      clock_(services.clock),
      store_(services.store),
      post_(services.post),
      door_(services.door),
      decisions_(services.decisions),
      end_notices_(services.end_notices) {}

Result<void> ObjectDesk::JoinCluster(const PeerSessionLimits& limits) {
  auto client = store_.NewClient("raylet, objects of other machines");
  if (!client) return Fail(client.error());
  ObjectTransferLimits transfer_limits;
  transfer_limits.idle_max = kIdlePatience * limits.dead_after;
  transfer_limits.pulls.give_up_after = 3 * limits.dead_after;
  BulkDialer dial = [this](const NodeId& node, PeerLinks::BulkDone done) {
    if (!decisions_.stopped()) post_.DialBulk(node, std::move(done));
  };
  manager_ = std::make_unique<ObjectManager>(loop_, clock_, post_.machine(), post_.view(), store_, std::move(*client),
                                             std::move(dial), *this, transfer_limits);
  return {};
}

// ---- messages of processes

Result<void> ObjectDesk::OnWantObjects(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::WantNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const ProcessId process = session.identity->process;
  Await(process, *notice);
  if (manager_ == nullptr) {
    if (!notice->no_longer)
      for (const auto& id : notice->objects) end_notices_.WaitsFor(process, OwnerOf(FromWire<ObjectId>(id)));
    return {};
  }
  for (const auto& id : notice->objects) {
    const auto object = FromWire<ObjectId>(id);
    if (notice->no_longer)
      manager_->WantNoLonger(object, process);
    else
      manager_->Want(object, process, notice->wait ? PullPriority::kWait : PullPriority::kGet);
  }
  return {};
}

void ObjectDesk::Await(ProcessId process, const wire::WantNoticeT& notice) {
  std::vector<ObjectId> watched, unwatched;
  for (const auto& id : notice.objects) {
    const auto object = FromWire<ObjectId>(id);
    if (notice.no_longer) {
      if (awaited_.Remove(process, object)) unwatched.push_back(object);
    } else if (notice.wait) {
      awaited_.Add(process, object);
      watched.push_back(object);
    }
  }
  store_.Watch(watched, WatchFor::kWait);
  store_.Unwatch(unwatched, WatchFor::kWait);
}

// Sends each process one message for all objects that were sealed in this turn.
void ObjectDesk::TellSealed() {
  for (auto& [process, notice] : std::exchange(sealed_, {}))
    if (ProcessSession* const session = door_.SessionOf(process))
      session->Send(wire::RayletMessage::ObjectsSealed, 0, notice);
}

Result<void> ObjectDesk::OnFreeObjects(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::FreeNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  if (manager_ == nullptr) return {};
  std::vector<ObjectId> freed;
  for (const auto& id : notice->objects) {
    const auto object = FromWire<ObjectId>(id);
    if (OwnerOf(object) != session.identity->process)
      return Fail(ErrorCode::kProtocolError, StrCat("process ", session.identity->process, " frees object ",
                                                    object.hex(), ", which is not its own"));
    freed.push_back(object);
  }
  references_.Freed(freed);
  manager_->Freed(freed);
  return {};
}

Result<void> ObjectDesk::OnReleaseLend(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::LendNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  if (notice->lend == 0) return Fail(ErrorCode::kProtocolError, "a lend without a number is released");
  const ClusterView::Node* const node = post_.view().NodeOf(notice->process);
  if (node == nullptr) {
    TellLender(notice->process, session.identity->process, notice->lend);
    return {};
  }
  wire::ReleasedLendT released;
  released.lender = notice->process;
  released.by = session.identity->process;
  released.lend = notice->lend;
  post_.Tell(node->id, wire::WorkMessage::LendReleased, Encode(released));
  return {};
}

Result<void> ObjectDesk::OnLendReleased(const NodeId& node, const Frame& frame) {
  const auto released = Parse<wire::ReleasedLendT>(frame.body);
  if (!released) return Fail(released.error());
  RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, released->by));
  TellLender(released->lender, released->by, released->lend);
  return {};
}

void ObjectDesk::TellLender(ProcessId lender, ProcessId by, uint64_t lend) {
  ProcessSession* const session = door_.SessionOf(lender);
  if (session == nullptr) return;  // the lender has gone, and its lends with it
  wire::LendNoticeT told;
  told.process = by;
  told.lend = lend;
  session->Send(wire::RayletMessage::ReleaseLend, 0, told);
}

// ---- for the store and the other desks

void ObjectDesk::OnSealed(const ObjectId& object) {
  if (manager_ != nullptr) manager_->SealedHere(object);
  for (const ProcessId process : awaited_.Sealed(object)) {
    if (sealed_.empty()) loop_.AtEndOfTurn([this] { TellSealed(); });
    sealed_[process].objects.push_back(ToWire(object));
  }
  arguments_->OnArgumentSealed(object);
}

void ObjectDesk::WantArguments(std::span<const ObjectId> objects) {
  if (manager_ != nullptr) manager_->WantArguments(objects);
}

void ObjectDesk::ReleaseArguments(std::span<const ObjectId> objects) {
  if (manager_ != nullptr) manager_->ReleaseArguments(objects);
}

void ObjectDesk::ResultHereOfWhoMayHaveEnded(ProcessId owner, const ObjectId& object) {
  if (IsAlive(owner))
    manager_->KeptForOwner(object);
  else
    store_.Delete({&object, 1});
}

void ObjectDesk::ResultThere(const NodeId& node, const ObjectId& object, std::vector<ObjectId> references,
                             bool wanted) {
  if (wanted) {
    references_.Add(object, std::move(references));
    return manager_->SealedElsewhere(object, node);
  }
  if (!post_.IsOurs(OwnerOf(object))) return;
  wire::FreeCopiesNoticeT free;
  free.objects.push_back(ToWire(object));
  post_.Tell(node, wire::ObjectMessage::FreeCopies, Encode(free));
}

void ObjectDesk::ProcessGone(ProcessId process) {
  if (manager_ != nullptr) manager_->OwnerGone(process);
  ForgetWishes(process);
}

// A process may have wanted very many objects. They are forgotten in several turns; nothing is told to it meanwhile.
void ObjectDesk::ForgetWishes(ProcessId process) {
  std::vector<ObjectId> unwanted;
  bool all = awaited_.ProcessGone(process, kObjectsPerTurn, unwanted);
  store_.Unwatch(unwanted, WatchFor::kWait);
  if (manager_ != nullptr) all = manager_->WanterGone(process, kObjectsPerTurn) && all;
  if (all) return;
  loop_.Post([this, process, life = std::weak_ptr<int>(life_)] {
    if (!life.expired()) ForgetWishes(process);
  });
}

std::vector<ObjectId> ObjectDesk::KnownOf(ProcessId owner, const ObjectId& after, size_t most) const {
  if (manager_ == nullptr) return {};
  return manager_->locator().directory().ObjectsOf(owner, after, most);
}

std::vector<ObjectId> ObjectDesk::ReferencesIn(const ObjectId& object) const {
  if (const auto metadata = store_.MetadataOf(object)) return raylet::ReferencesIn(*metadata);
  return references_.Of(object);
}

void ObjectDesk::FreeAdopted(std::span<const ObjectId> objects) {
  if (manager_ == nullptr) return;
  references_.Freed(objects);
  manager_->Freed(objects);
}

void ObjectDesk::KeptWhenSettled(const NodeId& node, std::span<const ObjectId> objects) {
  if (manager_ != nullptr) manager_->KeptWhenSettled(node, objects);
}

void ObjectDesk::RemoteOwnerSettled(ProcessId owner) {
  if (manager_ != nullptr) manager_->RemoteOwnerSettled(owner);
}

void ObjectDesk::MachineLost(const NodeId& node, MachineNumber machine, const Error& why) {
  manager_->MachineLost(node, machine, why);
}

// ---- events of the manager

void ObjectDesk::TellPeer(const NodeId& node, wire::ObjectMessage type, Bytes body) {
  post_.Tell(node, type, std::move(body));
}

bool ObjectDesk::IsAlive(ProcessId process) const {
  return post_.IsOurs(process) ? door_.IsConnected(process) : post_.RemoteLives(process);
}

void ObjectDesk::OnLost(Wanter wanter, const ObjectId& object, const Error& why) {
  if (wanter == kArgumentWanter) return arguments_->OnArgumentLost(object, why.message);
  TellLost(wanter, object, why);
}

void ObjectDesk::TellLost(ProcessId wanter, const ObjectId& object, const Error& why) {
  ProcessSession* const process = door_.SessionOf(wanter);
  if (process == nullptr) return;
  wire::LostNoticeT notice;
  notice.object = std::make_unique<wire::Id20>(ToWire(object));
  notice.failure = std::make_unique<wire::FailureT>(ObjectLost(object, why));
  process->Send(wire::RayletMessage::ObjectLost, 0, notice);
}

}  // namespace raylet
