// The ids that travel: 20 bytes each, told apart by their types.
//
// An object id of the ray:: layer says which process owns the object and which task makes it:
//   bytes 0-7    owner process (little endian; never 0)
//   bytes 8-15   number within that process
//   bytes 16-18  random
//   byte 19      return index
// So any process that holds an id can name the owner without asking. The user chooses the bytes of
// an id of the plasma:: layer.
// An actor's id is made in the same way by the process that creates it (byte 19 is 0). The raylet
// of that process is the actor's home. The same holds for placement groups.
#pragma once

#include <atomic>
#include <cstring>

#include "base/id.h"
#include "fbs/common_generated.h"

namespace raylet {

struct ObjectTag {};
struct ActorTag {};
struct NodeTag {};
struct PlacementGroupTag {};

using ObjectId = Id<ObjectTag, 20>;
using TaskId = ObjectId;  // a task's id is the id of its first return value
using ActorId = Id<ActorTag, 20>;
using NodeId = Id<NodeTag, 20>;
using PlacementGroupId = Id<PlacementGroupTag, 20>;
using ProcessId = uint64_t;
using LendId = uint64_t;

template <class IdType>
IdType FromWire(const wire::Id20& id) {
  IdType out;
  static_assert(IdType::kSize == 20);
  std::memcpy(out.mutable_data(), id.bytes()->data(), 20);
  return out;
}
template <class Tag>
wire::Id20 ToWire(const Id<Tag, 20>& id) {
  return wire::Id20(flatbuffers::span<const uint8_t, 20>(id.data(), 20));
}

// A machine's number in its cluster: the high half of its processes' ids. The machine's raylet
// draws it; never 0.
enum class MachineNumber : uint32_t {};
constexpr MachineNumber kNoMachine{};

constexpr MachineNumber MachineOf(ProcessId process) { return MachineNumber{static_cast<uint32_t>(process >> 32)}; }
// `number` counts the processes of one machine, from 1.
constexpr ProcessId ProcessIdOf(MachineNumber machine, uint32_t number) {
  return ProcessId{static_cast<uint32_t>(machine)} << 32 | number;
}
// The id that stands for all processes of a machine. No process has it.
constexpr ProcessId AllProcessesOf(MachineNumber machine) { return ProcessIdOf(machine, 0); }
constexpr bool StandsForMachine(ProcessId id) { return id == AllProcessesOf(MachineOf(id)); }

inline MachineNumber NewMachineNumber() {
  uint32_t number = 0;
  while (number == 0) FillRandom(reinterpret_cast<uint8_t*>(&number), sizeof number);
  return MachineNumber{number};
}

// The process that owns an object of the ray:: layer.
inline ProcessId OwnerOf(const ObjectId& id) {
  ProcessId owner = 0;
  std::memcpy(&owner, id.data(), sizeof owner);
  return owner;
}

// The process that created an actor.
inline ProcessId CreatorOf(const ActorId& id) {
  ProcessId creator = 0;
  std::memcpy(&creator, id.data(), sizeof creator);
  return creator;
}

inline ProcessId CreatorOf(const PlacementGroupId& id) {
  ProcessId creator = 0;
  std::memcpy(&creator, id.data(), sizeof creator);
  return creator;
}

// A new id owned by `owner`. Any thread. NewActorId makes the ids of actors.
template <class IdType = ObjectId>
IdType NewObjectId(ProcessId owner, std::atomic<uint64_t>& counter) {
  IdType id;
  const uint64_t number = counter.fetch_add(1, std::memory_order_relaxed);
  std::memcpy(id.mutable_data(), &owner, 8);
  std::memcpy(id.mutable_data() + 8, &number, 8);
  FillRandom(id.mutable_data() + 16, 3);
  return id;
}
inline ActorId NewActorId(ProcessId creator, std::atomic<uint64_t>& counter) {
  return NewObjectId<ActorId>(creator, counter);
}

}  // namespace raylet
