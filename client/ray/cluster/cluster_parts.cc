#include "client/ray/cluster/cluster_parts.h"

#include <unistd.h>

#include <utility>

#include <ray/api/exceptions.h>

#include "base/mutex.h"
#include "base/strings.h"
#include "client/ray/cluster/failure.h"
#include "client/ray/cluster/terminal.h"

namespace raylet::client {
namespace {

constexpr Duration kConnectPatience = std::chrono::seconds(10);

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
  auto link = RayletLink::Connect(std::move(options.raylet), deadline);
  if (!link) Throw(link.error());
  const char* const kind = (*link)->IsWorker() ? "worker" : "driver";
  auto store = StoreClient::Connect((*link)->registration().store_socket, StrCat(kind, " ", ::getpid()), deadline,
                                    /*retry=*/false);
  if (!store) Throw(store.error());

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
  return parts;
}

ClusterParts::ClusterParts(std::unique_ptr<RayletLink> raylet, std::shared_ptr<StoreClient> store_client)
    : owned_link_(std::move(raylet)),
      link(*owned_link_),
      blocked(link),
      pump(link, blocked),
      progress(link, pump),
      wanted(link),
      store(std::move(store_client), link, ownership, blocked, progress, wanted),
      objects{link, ownership, progress, store},
      tasks(link, ownership),
      actors(objects, pump),
      submitter(objects, tasks, actors) {}

void ClusterParts::Stop() {
  if (!link.Stop()) return;
  progress.Stop();
  const FailurePtr stopped = MakeFailure(wire::FailureKind::Cancelled, "Ray was shut down before this call ended");
  actors.Stop(stopped);
  pump.Stop(stopped);
  tasks.Stop(stopped);
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

void ClusterParts::OnMessage(const Frame& frame, std::vector<UniqueFd>& fds) {
  switch (static_cast<wire::RayletMessage>(frame.header.type)) {
    case wire::RayletMessage::TaskResult:
      if (auto result = Parse<wire::TaskResultT>(frame.body); result && result->result != nullptr)
        tasks.Finish(*std::move(result));
      return;
    case wire::RayletMessage::ActorChanged:
      if (const auto notice = Parse<wire::ActorNoticeT>(frame.body)) actors.Change(*notice);
      return;
    case wire::RayletMessage::ProcessDied:
      if (const auto notice = Parse<wire::ProcessNoticeT>(frame.body); notice && notice->reached_again) {
        ownership.MarkReachedAgain(notice->process);
      } else if (notice) {
        const bool machine =
            notice->process == AllProcessesOf(MachineOf(notice->process)) && notice->failure != nullptr;
        const Holds ended = ownership.MarkDead(notice->process, machine ? notice->failure->message : std::string());
        for (const ProcessId process : notice->also) const Holds also_ended = ownership.MarkDead(process, {});
      }
      return;
    case wire::RayletMessage::ObjectLost:
      if (auto notice = Parse<wire::LostNoticeT>(frame.body); notice && notice->failure != nullptr)
        wanted.MarkLost(FromWire<ObjectId>(*notice->object),
                        std::make_shared<const Failure>(std::move(*notice->failure)));
      return;
    case wire::RayletMessage::ReleaseLend:
      if (const auto notice = Parse<wire::LendNoticeT>(frame.body))
        const Holds ended = ownership.EndLend(notice->lend, notice->process);
      return;
    case wire::RayletMessage::Warn:
      if (const auto notice = Parse<wire::WarningNoticeT>(frame.body)) TellTerminal(notice->sentence);
      return;
    case wire::RayletMessage::OpenChannelReply: fds.clear(); return;  // nobody waits for it any more
    default:
      if (on_work_) on_work_(link, frame, fds);
  }
}

}  // namespace raylet::client
