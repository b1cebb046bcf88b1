// ResizedShard<S, D>: what the actors that are shards of a server S have in common in a Resize: the door D, and what
// the first shard, the home, knows about all Resizes. A base of the actor's class; its process runs one method at a
// time. Always holds: the door's state is beside the checkpoint, and at the replica, before anybody is told of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <ray/api.h>

#include "client/parameter_server/checkpoint.h"
#include "client/parameter_server/messages.h"
#include "client/parameter_server/patience.h"
#include "client/parameter_server/resize_lease.h"

namespace ray::ps::internal {

template <class S, class D>
class ResizedShard {
 public:
  // Of the home alone: Begin, and Renew while the Resize lasts. False: it was given up.
  void Begin(uint64_t resize) { lease_.Begin(resize, Now()); }
  bool Renew(uint64_t resize) { return lease_.Renew(resize, Now()); }
  // How many of these changes have not come yet.
  uint64_t Lacks(const std::vector<uint64_t>& sequences) { return door_.Lacks(sequences); }
  // `moved` is empty for a caller that knows that layout.
  WhereReply<S> Where(uint64_t known_epoch) {
    WhereReply<S> reply{door_.state(), lease_.UnderWay(Now())};
    if (door_.moved() && door_.state().moved[0].epoch <= known_epoch) reply.door.moved.clear();
    return reply;
  }

 protected:
  // The setup of a shard, of parameters or of rows.
  template <class Setup>
  explicit ResizedShard(const Setup& setup)
      : named_("shard " + std::to_string(setup.index) + " of " + std::to_string(setup.shards)), run_(setup.run) {
    if (!setup.checkpoint.empty())
      files_ = CheckpointPath(setup.checkpoint, setup.index, setup.shards) + (setup.inherits ? ".resized." : ".");
  }
  ~ResizedShard() = default;
  ResizedShard(const ResizedShard&) = delete;
  ResizedShard& operator=(const ResizedShard&) = delete;

  static std::chrono::steady_clock::time_point Now() { return std::chrono::steady_clock::now(); }
  // Beside the checkpoint. A later layout may have as many shards as the first one, whose shard 0 stays as the home:
  // they have other files.
  std::string FileOf(const char* what) const { return files_ + what; }

  void RequireHere() const {
    if (door_.moved())
      throw ray::internal::RayException(std::string("the ") + S::kContent + " of " + named_ +
                                        " have moved to other shards");
  }
  void RequireOpen() const {
    RequireHere();
    if (door_.closed())
      throw ray::internal::RayException(std::string("a Resize of these ") + S::kContent +
                                        " is under way: nothing else changes them meanwhile");
  }
  void RequireClosed() const {
    RequireHere();
    if (!door_.closed()) throw ray::internal::RayException(named_ + " was not closed for a Resize");
  }

  // The content is there from now on, unless the home has given this Resize up. 0: it is there for certain.
  MoveReply MoveDoor(const S& to, uint64_t resize) {
    const bool again = door_.moved() && door_.state().moved[0].epoch >= to.epoch;
    if (resize != 0 && !again && lease_.UnderWay(Now()) != resize) return {};
    const std::vector<uint64_t> refused = door_.Move(to);
    lease_.End();
    return {true, refused};
  }

  // Where it outlives this process. fill(): gives the replica all, where that has nothing.
  template <class Replica, class Fill>
  void KeepDoor(const std::vector<ActorHandle<Replica>>& replica, const Fill& fill) {
    if (!replica.empty()) {
      try {
        if (!*replica[0].Task(&Replica::Note).Remote(door_.state()).Get(kReplicaMs)) fill();
      } catch (const ray::internal::RayActorException&) {}  // it is dead for now, and has no older note for anybody
    }
    if (files_.empty()) return;
    msgpack::sbuffer bytes;
    msgpack::pack(bytes, door_.state());
    CheckpointOf of;
    of.run = run_;
    of.size = bytes.size();
    of.element_bytes = 1;
    WriteCheckpoint(FileOf("door"), of, {std::as_bytes(std::span<const char>(bytes.data(), bytes.size()))});
  }
  // What the process before this one had.
  void ReadDoor() {
    const std::string file = FileOf("door");
    CheckpointOf head;
    if (!ReadCheckpointHead(file, head) || head.run != run_ || head.size > kDoorBytesMax) return;
    std::vector<char> bytes(head.size);
    ReadCheckpoint(file, head, {std::as_writable_bytes(std::span<char>(bytes))});
    door_.Restore(msgpack::unpack(bytes.data(), bytes.size()).get().template as<DoorState<S>>());
  }

  D door_;

 private:
  static constexpr uint64_t kDoorBytesMax = uint64_t{1} << 24;  // a description of a server with thousands of shards

  const std::string named_;
  const uint64_t run_;
  std::string files_;  // the beginning of their names; empty without checkpoints
  ResizeLease lease_;
};

}  // namespace ray::ps::internal
