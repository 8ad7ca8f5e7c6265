/** Starts the page: address, connection, frame. */
import { render } from "preact";
import "./tokens.css";
import "./page.css";
import "./views.css";
import { App } from "./app.tsx";
import { connect } from "./data/connection.ts";
import { forgetOldVNodes } from "./lib/old-vnodes.ts";
import { followAddress } from "./lib/router.ts";

forgetOldVNodes();
followAddress();
connect();
const root = document.getElementById("page");
if (root === null) throw new Error("expected an element with the id page in index.html, found none");
render(<App />, root);
