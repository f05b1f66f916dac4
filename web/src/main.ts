import { mount } from "svelte";
import App from "./App.svelte";
import "./tokens.css";
import "./base.css";
import "./controls.css";
import { clock } from "./state/clock.svelte";
import { live } from "./state/live.svelte";
import { place } from "./state/place.svelte";

const target = document.getElementById("app");
if (target === null) throw new Error("index.html has no #app");

place.start();
clock.start();
live.start();
mount(App, { target });
