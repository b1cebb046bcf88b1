// Text for people: the default screen, `ls` and `clients`. Pure: a snapshot in, text out.
#pragma once

#include <string>

#include "tools/objstat/snapshot.h"

namespace raylet::objstat {

struct Look {
  bool colours = false;
};

std::string DefaultScreen(const Snapshot& snapshot, Look look);
std::string ObjectList(const Snapshot& snapshot, Look look);
std::string ClientList(const Snapshot& snapshot, Look look);

}  // namespace raylet::objstat
