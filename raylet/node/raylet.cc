#include "raylet/node/raylet.h"

#include "base/log.h"

namespace raylet {

Raylet::Raylet(Loop& loop, RayletOptions options, StoreLink& store)
    : options_(std::move(options)),
      post_(loop, clock_, options_.cluster),
      door_(loop, {options_.socket, options_.cluster.has_value(), post_.machine(), options_.session_limits}),
      house_(loop, {options_.socket, options_.logs_folder, options_.register_timeout}, options_.exit_grace, door_,
             [this](const std::vector<GoneWorker>& gone) { ends_.WorkersGone(gone); }),
      decisions_(
          loop, [this] { return CarryOutRound(); }, [this] { tasks_.CarriedOut(); }),
      leases_(clock_),
      end_notices_(post_, door_, house_),
      services_{loop, clock_, store, post_, door_, house_, jobs_, decisions_, leases_, end_notices_},
      tasks_(options_, services_),
      actors_(services_),
      channels_(services_),
      objects_(services_),
      claims_(services_, actors_, objects_),
      ends_(services_, tasks_, actors_, channels_, objects_, claims_),
      status_(options_, services_, tasks_, actors_, channels_, objects_, claims_),
      process_events_(options_, services_, AllDesks()),
      peer_events_(services_, AllDesks()) {
  tasks_.Wire(actors_, objects_, [this] { ends_.ForgetEndedJobsSoon(); });
  actors_.Wire(tasks_, channels_, [this] { ends_.ForgetEndedJobsSoon(); });
  channels_.Wire(actors_, objects_);
  objects_.Wire(tasks_, claims_);
  store.SetHandler(*this);
}

Raylet::~Raylet() = default;

Desks Raylet::AllDesks() {
  return {tasks_,
          tasks_.forwarded(),
          tasks_.leases(),
          tasks_.cancels(),
          tasks_.groups(),
          tasks_.groups().finder(),
          actors_,
          actors_.finder(),
          channels_,
          channels_.channels(),
          objects_,
          claims_,
          status_,
          metrics_,
          ends_};
}

Result<void> Raylet::JoinPeers() {
  if (!options_.cluster) return {};
  RAYLET_RETURN_IF_ERROR(leases_.JoinCluster());
  door_.GiveLeasePage(leases_.page());
  RAYLET_RETURN_IF_ERROR(post_.Join(*options_.cluster, peer_events_));
  RAYLET_RETURN_IF_ERROR(objects_.JoinCluster(options_.cluster->limits));
  channels_.JoinCluster();
  tasks_.JoinCluster(objects_);
  return {};
}

void Raylet::KnowNodes(const std::vector<NodeRecord>& nodes) {
  if (!decisions_.stopped()) post_.KnowNodes(nodes);
}

// Places bundles first, which take what has come back before tasks do. Carries out the scheduler's decisions next, then
// those of the actor directory. Decisions that follow from these have the next round.
bool Raylet::CarryOutRound() {
  const bool placed = tasks_.groups().CarryOut();
  const auto scheduled = tasks_.TakeDecisions();
  const auto acted = actors_.TakeDecisions();
  tasks_.CarryOut(scheduled);
  actors_.CarryOut(acted);
  return placed || !scheduled.empty() || !acted.empty();
}

void Raylet::OnStoreGone(const Error& reason) {
  RAYLET_LOG(kError, "the store at ", options_.store_socket, " has gone: ", reason.message);
  why_stopping_ = "its store has ended";
  if (on_store_gone_) on_store_gone_(reason);
}

void Raylet::Stop(Ending ending, std::function<void()> stopped) {
  if (ending == Ending::kKill) house_.KillAll();
  if (ending == Ending::kWithDriver) house_.EndAllWithJobs();
  if (decisions_.stopped()) return;
  decisions_.Stop();
  post_.Stop(why_stopping_);
  door_.Refuse();
  house_.Stop(options_.stop_grace, ending == Ending::kAsk, [this, stopped = std::move(stopped)] {
    door_.CloseSessions();
    if (stopped) stopped();
  });
}

}  // namespace raylet
