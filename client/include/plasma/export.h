// RAYLET_API: what the shared libraries show; everything else stays hidden, so that no symbol of a dependency can clash
// with a user's own copy of it.
#pragma once

#ifndef RAYLET_API
#define RAYLET_API __attribute__((visibility("default")))
#endif
