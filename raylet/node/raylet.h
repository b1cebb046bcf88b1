// Raylet: the daemon put together. It builds the services and the desks, wires them, and fixes the order in which they
// carry out their decisions. The tables of message_table.h say which desk hears a message. ends.h says how ends are
// told. Owned by main (or a test); loop thread only. Always holds: between two turns of the loop, every decision of the
// cores has been carried out.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "raylet/node/ends.h"
#include "raylet/node/message_table.h"
#include "raylet/node/node_status.h"
#include "raylet/node/peer_events.h"
#include "raylet/node/process_events.h"
#include "raylet/node/raylet_options.h"
#include "raylet/node/services.h"
#include "raylet/objects/store_link.h"

namespace raylet {

class Raylet final : public StoreLink::Handler {
 public:
  Raylet(Loop& loop, RayletOptions options, StoreLink& store);
  ~Raylet() override;

  Result<void> Listen() { return door_.Listen(process_events_); }
  // Listens for other raylets and dials those that were named. Does nothing without ClusterOptions.
  Result<void> JoinPeers();
  // This raylet's record for the control store; after JoinPeers.
  NodeRecord OwnRecord() const { return post_.OwnRecord(); }
  // `nodes`: the living nodes that the control store lists. This raylet dials all of them.
  void KnowNodes(const std::vector<NodeRecord>& nodes);
  void SetControl(const ControlParts& control) { status_.SetControl(control); }
  void ShareNames(ControlLink& control) { actors_.ShareNames(control); }  // from now on; it lives as long as we do
  // This raylet's address for the others; empty without other machines.
  std::string PeerAddress() const { return post_.OwnAddress(); }
  // Refuses new work, ends the workers and removes the socket. Then `stopped` is called, once. kAsk asks the workers to
  // end within stop_grace. kKill, which may follow it, kills them at once. It is for a raylet whose workers nobody
  // needs any more.
  // Workers are asked to end, or killed; kWithDriver: killed, but for actors, which are destroyed.
  enum class Ending { kAsk, kKill, kWithDriver };
  void Stop(Ending ending, std::function<void()> stopped);
  void SetOnStoreGone(std::function<void(const Error&)> gone) { on_store_gone_ = std::move(gone); }
  std::string StatusJson() const { return status_.Json(); }
  // What programs have recorded. Any thread.
  const ReportedMetrics& metrics() const { return metrics_.reported(); }
  size_t workers() const { return house_.size(); }  // that have not gone

 private:
  void OnSealed(const ObjectId& object) override { objects_.OnSealed(object); }
  void OnInherited(uint32_t, std::span<const ObjectId> objects, bool) override { claims_.OnInherited(objects); }
  void OnStoreGone(const Error& reason) override;
  bool CarryOutRound();
  Desks AllDesks();

  const RayletOptions options_;
  const SteadyClock clock_;

  PeerPost post_;
  ProcessDoor door_;
  WorkerHouse house_;
  Jobs jobs_;
  DecisionLoop decisions_;
  HostLeases leases_;
  EndNotices end_notices_;
  const Services services_;

  TaskDesk tasks_;
  ActorDesk actors_;
  ChannelDesk channels_;
  ObjectDesk objects_;
  ClaimDesk claims_;
  Ends ends_;
  NodeStatus status_;
  MetricsDesk metrics_;
  ProcessEvents process_events_;
  PeerEvents peer_events_;

  std::string why_stopping_ = "this raylet is stopping";  // as other raylets and processes hear it
  std::function<void(const Error&)> on_store_gone_;
};

}  // namespace raylet
