// Raylet: the daemon put together. It builds the services and the desks, wires them, and says in
// which order they carry out what they decided. The tables of message_table.h say which desk hears
// a message; ends.h says how ends are told. Owned by main (or a test); loop thread only. Always
// holds: between two turns of the loop, every decision of the cores has been carried out.
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

  Result<void> Listen() { return door_.Listen(process_events_); }
  // Listens to other raylets and seeks those that were named; nothing without ClusterOptions.
  Result<void> JoinPeers();
  // What it is in the control store; after JoinPeers.
  NodeRecord OwnRecord() const { return post_.OwnRecord(); }
  void KnowNodes(const std::vector<NodeRecord>& nodes);  // who lives, as the control store says: all are sought
  void SetControl(const ControlParts& control) { status_.SetControl(control); }
  void ShareNames(ControlLink& control) { actors_.ShareNames(control); }  // from now on; it lives as long as we do
  std::string PeerAddress() const { return post_.OwnAddress(); }  // where they reach this one; empty where they do not
  // Refuses new work, ends the workers, removes the socket; then `stopped` is called, once. Workers are asked to end
  // and have stop_grace, or are killed at once where nobody is left to whom they matter; that may be found out later,
  // too.
  enum class Ending { kAsk, kKill };
  void Stop(Ending ending, std::function<void()> stopped);
  void SetOnStoreGone(std::function<void(const Error&)> gone) { on_store_gone_ = std::move(gone); }
  std::string StatusJson() const { return status_.Json(); }
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
  EndNotices end_notices_;
  const Services services_;

  TaskDesk tasks_;
  ActorDesk actors_;
  ChannelDesk channels_;
  ObjectDesk objects_;
  ClaimDesk claims_;
  Ends ends_;
  NodeStatus status_;
  ProcessEvents process_events_;
  PeerEvents peer_events_;

  std::string why_stopping_ = "this raylet is stopping";  // as the others hear it
  std::function<void(const Error&)> on_store_gone_;
};

}  // namespace raylet
