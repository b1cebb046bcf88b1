// Descriptors that the service manager keeps for a plasma_store whose keeper and server have both died (systemd's file
// descriptor store). The server gives it names and descriptors (ServiceManager::Store). The process that it starts next
// gets them from its environment (LISTEN_FDS), and goes on with the objects. main calls it, before there are threads.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "store/kept.h"

namespace raylet::store {

constexpr const char* kListeningName = "plasma-listening";
constexpr const char* kStoredArenaName = "plasma-arena";
constexpr const char* kStoredIndexName = "plasma-index";
std::string PinsName(uint32_t client);
std::string SocketName(uint32_t client);

// What came with this process, and takes the variables out of its environment. A client comes with both of its
// descriptors or not at all.
Kept TakeStoredFds();
bool IsWhole(const Kept& kept);
// The capacity of the store that these were of. kInvalid, kVersionMismatch, kProtocolError: it was another one.
Result<uint64_t> CapacityOf(const Kept& kept, const std::string& socket_path);
// Whether a store with these flags may go on with them. `spill_folder` has its files; empty: it does not spill.
// kInvalid: its clients would keep another access, or it would not find the objects on disk. After CapacityOf.
Result<void> CheckFlags(const Kept& kept, const std::string& socket_path, bool strict, const std::string& spill_folder);

}  // namespace raylet::store
