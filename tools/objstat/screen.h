// The snapshot for people: the default screen, the lists of objects and clients, and one object. Pure.
#pragma once

#include <string>
#include <vector>

#include "tools/objstat/rates.h"
#include "tools/objstat/snapshot.h"
#include "tools/objstat/text.h"

namespace raylet::objstat {

// A dead or stopped daemon is the first thing to show: empty for one that works.
std::string HeadlineIfDead(const Snapshot& snapshot, Look look);
std::string NameOr(const std::string& name, const char* none);  // without control characters

std::string DefaultScreen(const Snapshot& snapshot, Look look);
std::string DefaultScreen(const Snapshot& snapshot, const Rates& rates, Look look);
std::string ObjectList(const Snapshot& snapshot, const std::vector<const Object*>& objects, Look look);
std::string ObjectText(const Snapshot& snapshot, const Object& object, Look look);
std::string ClientList(const Snapshot& snapshot, Look look);

}  // namespace raylet::objstat
