#include "client/ray/cluster/cluster_parts.h"

#include <unistd.h>

#include <utility>

#include <ray/api/exceptions.h>

#include "base/mutex.h"
#include "base/strings.h"
#include "client/ray/cluster/failure.h"
#include "client/ray/cluster/terminal.h"
#include "fbs/id_lists.h"

namespace raylet::client {
namespace {

constexpr Duration kConnectPatience = std::chrono::seconds(10);

TaskRoom::Bounds BoundsOf(const wire::RegisterReplyT& registration) {
  TaskRoom::Bounds bounds;
  if (registration.tasks_max > 0) bounds.tasks_max = registration.tasks_max;
  if (registration.task_bytes_max > 0) bounds.bytes_max = registration.task_bytes_max;
  return bounds;
}

// Handles that outlive Shutdown ask their parts whether they are still usable.
struct KeptParts {
  Mutex mutex;
  std::vector<std::unique_ptr<ClusterParts>> all RAYLET_GUARDED_BY(mutex);
};
KeptParts& Kept() {
  static auto* const kept = new KeptParts();
  return *kept;
}
ClusterParts& Keep(std::unique_ptr<ClusterParts> parts) {
  KeptParts& kept = Kept();
  const MutexLock lock(kept.mutex);
  return *kept.all.emplace_back(std::move(parts));
}

}  // namespace

ClusterParts& ClusterParts::Connect(Options options) {
  const Deadline deadline = Deadline::After(kConnectPatience);
  const Duration patience = options.raylet.patience;
  auto link = RayletLink::Connect(std::move(options.raylet), deadline);
  if (!link) Throw(link.error());
  const char* const kind = (*link)->IsWorker() ? "worker" : "driver";
  const wire::RegisterReplyT& registration = (*link)->registration();
  auto store = StoreClient::Connect(registration.store_socket, StrCat(kind, " ", ::getpid()), deadline,
                                    /*retry=*/false, registration.heir, patience);
  if (!store) Throw(store.error());
  if (options.on_registered) options.on_registered(registration);

  ClusterParts& parts = Keep(std::unique_ptr<ClusterParts>(new ClusterParts(*std::move(link), *std::move(store))));
  parts.on_work_ = std::move(options.on_work);
  parts.link.Start([&parts](const Frame& frame, std::vector<UniqueFd>& fds) { parts.OnMessage(frame, fds); },
                   std::move(options.on_raylet_gone));
  wire::ReadyNoticeT ready;
  ready.store_client = parts.store.client_number();
  if (const auto sent = parts.link.Send(wire::RayletMessage::Ready, ready); !sent) {
    parts.Stop();
    parts.Leave();
    throw ray::internal::RayException(sent.error().message);
  }
  parts.metrics.Start();
  return parts;
}

ClusterParts::ClusterParts(std::unique_ptr<RayletLink> raylet, std::shared_ptr<StoreClient> store_client)
    : owned_link_(std::move(raylet)),
      link(*owned_link_),
      blocked(link),
      pump(link, blocked),
      progress(link, pump),
      borrowings(link, ownership),
      wanted(link, ownership, borrowings),
      store(std::move(store_client), link, ownership, blocked, progress, wanted),
      objects{link, ownership, borrowings, progress, store},
      room(BoundsOf(link.registration())),
      tasks(link, ownership, borrowings),
      actors(objects, pump),
      leased(objects, pump),
      submitter(objects, pump, room, tasks, leased, actors, current),
      async_gets(objects, pump, wanted),
      metrics(link) {
  ownership.WireActors([this](const ObjectId& id) { return actors.HoldOf(ActorId::FromBinary(id.binary())); });
}

void ClusterParts::Stop() {
  if (link.Usable()) metrics.Stop();
  if (!link.Stop()) return;
  progress.Stop();
  const FailurePtr stopped = MakeFailure(wire::FailureKind::Cancelled, "Ray was shut down before this call ended");
  actors.Stop(stopped);
  leased.Stop(stopped);
  pump.Stop(stopped);
  tasks.Stop(stopped);
  async_gets.Stop();
  { const Holds ended = ownership.EndAllLends(); }
  store.Close();
}

void ClusterParts::Leave() {
  KeptParts& kept = Kept();
  std::vector<std::unique_ptr<ClusterParts>> unused;
  const MutexLock lock(kept.mutex);
  left_ = true;
  for (auto& parts : kept.all)
    if (parts->left_ && !parts->link.uses().Any()) unused.push_back(std::move(parts));
  std::erase(kept.all, nullptr);
}

ClusterParts::Shared ClusterParts::SharedHere() {
  KeptParts& kept = Kept();
  const MutexLock lock(kept.mutex);
  Shared all;
  for (const auto& parts : kept.all) {
    const Ownership::Counts owned = parts->ownership.counts();
    all.owned.objects += owned.objects;
    all.owned.arrays += owned.arrays;
    all.owned.claimed += owned.claimed;
    all.owned.lends += owned.lends;
    all.borrowings += parts->borrowings.size();
  }
  return all;
}

void ClusterParts::OnMessage(const Frame& frame, std::vector<UniqueFd>& fds) {
  switch (static_cast<wire::RayletMessage>(frame.header.type)) {
    case wire::RayletMessage::TaskResult:
      if (auto result = Parse<wire::TaskResultT>(frame.body); result && result->result != nullptr)
        if (TaskKind* const kind = tasks.Finish(*std::move(result)); kind != nullptr) leased.EndedByRaylet(*kind);
      return;
    case wire::RayletMessage::LeaseShut:
      if (const auto notice = Parse<wire::LeaseNoticeT>(frame.body)) leased.OnShut(notice->lease);
      return;
    case wire::RayletMessage::LeaseLost:
      if (const auto notice = Parse<wire::LeaseLostNoticeT>(frame.body)) leased.OnLost(notice->lease, *notice->failure);
      return;
    case wire::RayletMessage::TaskReturned: return submitter.OnReturned(frame.body);
    case wire::RayletMessage::RoomForTasks: return submitter.OnRoom();
    case wire::RayletMessage::ActorChanged:
      if (const auto notice = Parse<wire::ActorNoticeT>(frame.body)) actors.Change(*notice);
      return;
    case wire::RayletMessage::ProcessDied:
      if (const auto notice = Parse<wire::ProcessNoticeT>(frame.body)) OnProcessDied(*notice);
      return;
    case wire::RayletMessage::ProcessSettled:
      if (const auto notice = Parse<wire::SettledNoticeT>(frame.body))
        const Holds ended = ownership.MarkSettled(notice->processes);
      return;
    case wire::RayletMessage::ObjectsSealed:
      if (const auto notice = Parse<wire::SealedObjectsNoticeT>(frame.body))
        wanted.MarkSealed(FromWire(notice->objects));
      return;
    case wire::RayletMessage::HoldObjects:
      if (const auto notice = Parse<wire::ClaimNoticeT>(frame.body)) HoldClaimed(*notice);
      return;
    case wire::RayletMessage::LetGoObjects:
      if (const auto notice = Parse<wire::ClaimNoticeT>(frame.body))
        for (const wire::Id20& id : notice->objects)
          const ray::internal::Hold hold = ownership.LetGo(FromWire<ObjectId>(id));
      return;
    case wire::RayletMessage::ObjectLost:
      if (auto notice = Parse<wire::LostNoticeT>(frame.body); notice && notice->failure != nullptr)
        OnLost(FromWire<ObjectId>(*notice->object), std::make_shared<const Failure>(std::move(*notice->failure)));
      return;
    case wire::RayletMessage::ReleaseLend:
      if (const auto notice = Parse<wire::LendNoticeT>(frame.body))
        const Holds ended = ownership.EndLend(notice->lend, notice->process);
      return;
    case wire::RayletMessage::Warn:
      if (const auto notice = Parse<wire::WarningNoticeT>(frame.body)) TellTerminal(notice->sentence);
      return;
    case wire::RayletMessage::OpenChannelReply: fds.clear(); return;  // no link waits for the channel any more
    default:
      if (on_work_) on_work_(link, frame, fds);
  }
}

// Claims the objects to which this process still refers through the ended ones, and then reports that it has.
void ClusterParts::HoldClaimed(const wire::ClaimNoticeT& notice) {
  wire::ClaimsHeldNoticeT held;
  held.number = notice.number;
  for (const wire::Id20& id : notice.objects)
    if (!ownership.HoldClaimed(FromWire<ObjectId>(id))) held.gone.push_back(id);
  link.Post(wire::RayletMessage::ClaimsHeld, held);  // a raylet that is gone waits for nobody
}

void ClusterParts::OnLost(const ObjectId& id, const FailurePtr& why) {
  // First the object: a Get that the news wakes then finds it failed.
  if (const ClusterObjectPtr object = ownership.FindObject(id); object != nullptr) object->MarkLost(why);
  wanted.MarkLost(id, why);
}

void ClusterParts::OnProcessDied(const wire::ProcessNoticeT& notice) {
  if (notice.reached_again) return ownership.MarkReachedAgain(notice.process);
  const bool machine = StandsForMachine(notice.process) && notice.failure != nullptr;
  std::vector<ProcessId> ended = {notice.process};
  ended.insert(ended.end(), notice.also.begin(), notice.also.end());
  ownership.MarkEnded(ended, machine ? notice.failure->message : std::string());
  wanted.MarkNewsOfAll();
  pump.DrainAll();  // the last replies of the dead name what they lend
  borrowings.LendersEnded(ended);
  wire::ClaimsMadeNoticeT made;
  made.process = notice.process;
  link.Post(wire::RayletMessage::ClaimsMade, made);  // a raylet that is gone waits for nobody
}

}  // namespace raylet::client
