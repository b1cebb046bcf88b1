// The records that raylets share through the control store, and their text form: one line that
// people can read with redis-cli. Pure.
// Always holds: a value from a store is input. One that makes no sense is a kProtocolError that
// names the cell, never a crash.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/raylet_generated.h"

namespace raylet {

constexpr size_t kControlKeyBytesMax = 1024;                // of the key of a pair
constexpr size_t kControlValueBytesMax = size_t{64} << 10;  // larger values belong in the object store
constexpr size_t kControlAddressBytesMax = 300;             // of host:port, and of a version

// One life of a raylet. Its lease says that it lived at most ten seconds ago.
struct NodeRecord {
  NodeId id;
  uint64_t epoch = 0;  // different for each start; larger for later starts
  MachineNumber machine{};
  std::string address;  // host:port where it listens for other raylets
  std::string version;  // of its build
  friend bool operator==(const NodeRecord&, const NodeRecord&) = default;
};

// The raylet that has a machine number.
struct MachineEntry {
  NodeId node;
  uint64_t epoch = 0;
  friend bool operator==(const MachineEntry&, const MachineEntry&) = default;
};

// Who has taken an actor's name. Of two entries the larger epoch owns it. An actor that moves takes it again with a
// larger epoch.
struct NameEntry {
  std::string actor_namespace;
  std::string name;
  ActorId actor;
  uint64_t epoch = 0;
  NodeId node;                   // its home's node, which decides about it
  int32_t max_task_retries = 0;  // of its calls, as in ActorSettings
  friend bool operator==(const NameEntry&, const NameEntry&) = default;
};

// The place of an actor. The epoch grows with every start of the actor.
struct ActorPlacement {
  ActorId actor;
  NodeId node;
  uint64_t epoch = 0;
  wire::ActorState state = wire::ActorState::Pending;
  friend bool operator==(const ActorPlacement&, const ActorPlacement&) = default;
};

// A pair of key and value that users or raylets keep. The store counts its versions; a deletion is
// a version too.
struct KeyValue {
  std::string key;
  std::string value;
  uint64_t version = 0;
  bool deleted = false;
  friend bool operator==(const KeyValue&, const KeyValue&) = default;
};

std::string EncodeRecord(const NodeRecord& record);
std::string EncodeRecord(const MachineEntry& entry);
std::string EncodeRecord(const NameEntry& entry);  // without its namespace and name, which are in the cell's name
std::string EncodeRecord(const ActorPlacement& placement);  // without the actor, which is the cell's name
std::string EncodeRecord(const KeyValue& pair);             // without its key, which is the cell's name

// Errors name `cell`.
Result<NodeRecord> DecodeNode(std::string_view cell, std::string_view text);
Result<MachineEntry> DecodeMachineEntry(std::string_view cell, std::string_view text);
Result<NameEntry> DecodeName(std::string_view cell, std::string_view text);
Result<ActorPlacement> DecodeActor(std::string_view cell, std::string_view text);
Result<KeyValue> DecodeKeyValue(std::string_view cell, std::string_view text);

// Whether a record is within its limits: kInvalid with the limit.
Result<void> CheckRecord(const NodeRecord& record);
Result<void> CheckRecord(const NameEntry& entry);
Result<void> CheckRecord(const ActorPlacement& placement);
Result<void> CheckRecord(const KeyValue& pair);

}  // namespace raylet
